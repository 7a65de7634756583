//! Scoring and generating, as the trait promises.

use idiolect_core::draft::Sampling;
use idiolect_llm::{
    Cancel, Ended, GenerateRequest, LlmError, ScoreRequest, TextModel, Token, testing::TinyGguf,
};

use idiolect_engine::{Prefix, PrefixRequest, SCORE_PRECISION};

use crate::tiny;

fn tokens(n: usize, seed: u32) -> Vec<Token> {
    (0..n as u32)
        .map(|i| 3 + (i * 41 + seed * 53 + i * i * 3) % 263)
        .collect()
}

fn score(prefix: &[Token], continuations: &[&[Token]]) -> ScoreRequest {
    ScoreRequest {
        prefix: prefix.to_vec(),
        continuations: continuations.iter().map(|c| c.to_vec()).collect(),
        ..ScoreRequest::default()
    }
}

#[test]
fn scores_add_up_however_a_text_is_cut() {
    let model = tiny(&TinyGguf {
        context: 4096,
        ..TinyGguf::default()
    });
    let cancel = Cancel::new();
    let text = tokens(1400, 1);
    let whole = model
        .score(&[score(&[], &[&text])], &cancel)
        .unwrap()
        .remove(0)
        .remove(0);
    assert_eq!(whole.len(), 1399, "the first token has nothing before it");
    assert!(
        whole.iter().all(|&p| p < 0.0 && p.is_finite()),
        "log-probabilities"
    );
    for cut in [1, 7, 600, 1399] {
        let parts = model
            .score(&[score(&text[..cut], &[&text[cut..]])], &cancel)
            .unwrap();
        assert_eq!(
            parts[0][0],
            whole[cut - 1..],
            "prefix of {cut}: the same bits"
        );
    }
    let stretch = &text[20..45];
    let together = [
        score(
            &text[..20],
            &[stretch, &text[3..5], &[], &text[9..10], &text[..700]],
        ),
        score(&[], &[&text[..5], &text[..1], &[]]),
        score(&text[..3], &[]),
        score(&text[..30], &[&text[30..90]]),
    ];
    let scores = model.score(&together, &cancel).unwrap();
    assert_eq!(
        scores[0][0],
        whole[19..44],
        "packed with others, the same bits"
    );
    let lengths: Vec<Vec<usize>> = scores
        .iter()
        .map(|r| r.iter().map(Vec::len).collect())
        .collect();
    assert_eq!(
        lengths,
        [vec![25, 2, 0, 1, 700], vec![4, 0, 0], vec![], vec![60]]
    );
    assert_eq!(scores[3][0], whole[29..89], "the last request too");
}

#[test]
fn what_does_not_fit_is_refused() {
    let model = tiny(&TinyGguf::default());
    let full = model.score(&[score(&tokens(200, 1), &[&tokens(57, 2)])], &Cancel::new());
    assert!(
        matches!(
            full,
            Err(LlmError::ContextFull {
                needed: 257,
                context: 256
            })
        ),
        "{full:?}"
    );
    assert!(
        model
            .score(&[score(&[], &[&[1, 9999]])], &Cancel::new())
            .is_err(),
        "unknown tokens"
    );
    let cancelled = Cancel::new();
    cancelled.cancel();
    let stopped = model.score(&[score(&[5], &[&[6, 7]])], &cancelled);
    assert!(matches!(stopped, Err(LlmError::Cancelled)), "{stopped:?}");
}

fn request(prompt: Vec<Token>, seed: u64, max_tokens: u32) -> GenerateRequest {
    // The toy's distribution is flat: without a bias it would rarely end before its limit.
    let sampling = Sampling {
        seed,
        max_tokens,
        min_p: 0.0,
        ..Sampling::default()
    };
    GenerateRequest {
        prompt,
        sampling,
        ..GenerateRequest::default()
    }
}

#[test]
fn texts_do_not_depend_on_their_neighbours() {
    let model = tiny(&TinyGguf::default());
    let shared = tokens(40, 1);
    let mut longer = shared.clone();
    longer.extend(tokens(9, 2));
    let requests = [
        request(shared.clone(), 1, 30),
        request(shared, 2, 12),
        request(longer, 1, 25),
        request(tokens(3, 9), 5, 30),
    ];
    let mut streamed = vec![String::new(); requests.len()];
    let together = model
        .generate(&requests, &Cancel::new(), &mut |i, t| {
            streamed[i].push_str(t)
        })
        .unwrap();
    for (i, request) in requests.iter().enumerate() {
        let alone = model
            .generate(
                std::slice::from_ref(request),
                &Cancel::new(),
                &mut |_, _| {},
            )
            .unwrap()
            .remove(0);
        assert_eq!(
            together[i].tokens, alone.tokens,
            "request {i}: the same tokens"
        );
        assert_eq!(
            together[i].log_probs, alone.log_probs,
            "request {i}: to the bit"
        );
        assert_eq!(
            together[i].text, streamed[i],
            "request {i}: the deltas add up"
        );
        assert_eq!(together[i].tokens.len(), together[i].log_probs.len());
    }
    let n = together[0].tokens.len().min(together[1].tokens.len());
    assert_ne!(
        together[0].tokens[..n],
        together[1].tokens[..n],
        "another seed, another text"
    );
}

#[test]
fn every_way_to_end_is_told() {
    let model = tiny(&TinyGguf::default());
    let run = |r: GenerateRequest| {
        model
            .generate(&[r], &Cancel::new(), &mut |_, _| {})
            .unwrap()
            .remove(0)
    };
    let long = run(request(tokens(5, 3), 3, 40));
    assert!(
        long.ended == Ended::Length && long.tokens.len() == 40 || long.ended == Ended::Stop,
        "{:?}",
        long.ended
    );
    assert_eq!(
        run(request(tokens(5, 3), 3, 0)).tokens,
        Vec::<Token>::new(),
        "nothing was wanted"
    );
    let full = run(request(tokens(250, 3), 3, 40));
    assert!(
        full.tokens.len() <= 6,
        "the context ends: {}",
        full.tokens.len()
    );
    let mut stopped = request(tokens(5, 3), 3, 40);
    let stop: String = long.text.chars().skip(3).take(2).collect();
    stopped.sampling.stop = vec![stop.clone()];
    let stopped = run(stopped);
    assert_eq!(stopped.ended, Ended::Stop, "at the stop text");
    assert!(
        !stopped.text.contains(&stop) && long.text.starts_with(&stopped.text),
        "which does not show"
    );
    let over = model.generate(
        &[request(tokens(256, 3), 3, 1)],
        &Cancel::new(),
        &mut |_, _| {},
    );
    assert!(
        matches!(over, Err(LlmError::ContextFull { .. })),
        "no room for a single token"
    );
    let cancel = Cancel::new();
    let mut seen = 0;
    let cut = model
        .generate(
            &[request(tokens(5, 3), 3, 200), request(tokens(6, 3), 3, 200)],
            &cancel,
            &mut |_, _| {
                seen += 1;
                if seen == 4 {
                    cancel.cancel();
                }
            },
        )
        .unwrap();
    assert_eq!(cut[0].ended, Ended::Cancelled, "cancelled");
    assert!(
        !cut[0].tokens.is_empty() && cut[0].tokens.len() < 10,
        "with what was written: {}",
        cut[0].tokens.len()
    );
}

#[test]
fn log_probs_are_the_models_own() {
    let model = tiny(&TinyGguf::default());
    let prompt = tokens(12, 4);
    let written = model
        .generate(
            &[request(prompt.clone(), 4, 20)],
            &Cancel::new(),
            &mut |_, _| {},
        )
        .unwrap()
        .remove(0);
    let scored = model
        .score(&[score(&prompt, &[&written.tokens])], &Cancel::new())
        .unwrap()
        .remove(0)
        .remove(0);
    for (i, (a, b)) in written.log_probs.iter().zip(&scored).enumerate() {
        // One rounds activations to bytes, the other does not.
        assert!(
            (a - b).abs() < 0.3,
            "token {i}: {a} when written, {b} when scored"
        );
    }
}

#[test]
fn kept_prefixes_give_the_scores_of_whole_texts() {
    let model = tiny(&TinyGguf {
        context: 4096,
        ..TinyGguf::default()
    });
    let cancel = Cancel::new();
    let beginnings = [tokens(70, 1), tokens(3, 2), vec![], tokens(520, 3)];
    let requests: Vec<PrefixRequest<'_>> = beginnings
        .iter()
        .map(|tokens| PrefixRequest {
            tokens,
            ..PrefixRequest::default()
        })
        .collect();
    let prefixes = model.prefixes(&requests, SCORE_PRECISION, &cancel).unwrap();
    // Texts that share beginnings, one inside another, twice the same, empty, of one token, longer than a batch.
    let stem = tokens(12, 7);
    let mut branch = stem[..8].to_vec();
    branch.extend(tokens(5, 8));
    let texts = [
        stem.clone(),
        branch,
        stem[..8].to_vec(),
        stem[..9].to_vec(),
        stem.clone(),
        vec![],
        vec![stem[0]],
        tokens(2, 9),
        tokens(600, 4),
    ];
    let rows: Vec<(&Prefix, &[Token])> = texts
        .iter()
        .flat_map(|text| prefixes.iter().map(move |p| (p, text.as_slice())))
        .collect();
    let together = model.score_under(&rows, &cancel).unwrap();
    for ((prefix, text), scores) in rows.iter().zip(&together) {
        let beginning = &beginnings[prefixes
            .iter()
            .position(|p| p.len() == prefix.len())
            .unwrap()];
        let whole: Vec<Token> = beginning.iter().chain(*text).copied().collect();
        let expected = if whole.is_empty() {
            vec![]
        } else {
            model
                .score(&[score(&[], &[&whole])], &cancel)
                .unwrap()
                .remove(0)
                .remove(0)
        };
        let expected = &expected[beginning.len().saturating_sub(1)..];
        assert_eq!(scores, expected, "{} after {}", text.len(), beginning.len());
    }
    let again = model.score_under(&rows, &cancel).unwrap();
    assert_eq!(again, together, "a kept prefix stays as it is");
    let other = tiny(&TinyGguf {
        kv_heads: 1,
        ..TinyGguf::default()
    });
    assert!(
        other.score_under(&rows[1..2], &cancel).is_err(),
        "a prefix of another model"
    );
}
