use super::*;
use crate::demo;

fn ids() -> impl FnMut() -> HypothesisId {
    let mut n = 0;
    move || {
        n += 1;
        HypothesisId::from_random(n)
    }
}

fn seen(author: usize) -> (Vec<SampleId>, Vec<&'static str>) {
    let texts: Vec<&str> = demo::authors()[author]
        .seen()
        .map(|t| t.text.as_str())
        .collect();
    let ids = (0..texts.len())
        .map(|i| SampleId::from_random(i as u64 + 1))
        .collect();
    (ids, texts)
}

fn tested(author: usize, texts: usize) -> Vec<Hypothesis> {
    let (sample_ids, all) = seen(author);
    let passages: Vec<Passage<'_>> = sample_ids
        .iter()
        .zip(&all)
        .take(texts)
        .map(|(id, text)| Passage { id, text })
        .collect();
    test(&passages, &mut ids())
}

#[test]
fn two_authors_get_the_claims_that_set_them_apart() {
    let harrow = tested(0, 13);
    let finch = tested(1, 13);
    let claims = |hs: &[Hypothesis], feature: &str| {
        hs.iter()
            .filter_map(|h| h.support.as_ref())
            .any(|s| s.feature.starts_with(feature) && s.direction > 0)
    };
    assert!(
        claims(&harrow, "punct.dash") || claims(&harrow, "punct.em_dash"),
        "dashes are Harrow's habit: {:?}",
        harrow.iter().map(|h| &h.statement).collect::<Vec<_>>()
    );
    assert!(
        claims(&finch, "punct.exclamation") || claims(&finch, "sentence.exclamation"),
        "exclamations are Finch's habit: {:?}",
        finch.iter().map(|h| &h.statement).collect::<Vec<_>>()
    );
    for h in harrow.iter().chain(&finch) {
        for span in &h.evidence {
            let (ids, texts) = seen(usize::from(finch.iter().any(|f| std::ptr::eq(f, h))));
            let i = ids.iter().position(|id| *id == span.sample).unwrap();
            assert_eq!(
                &texts[i][span.start..span.end],
                span.text,
                "{}",
                h.statement
            );
        }
    }
}

#[test]
fn only_claims_tested_on_unseen_texts_are_supported() {
    let few = tested(1, 4);
    assert!(
        !few.is_empty(),
        "four texts of a clear habit propose something"
    );
    for h in &few {
        assert_eq!(h.status, HypothesisStatus::Proposed, "{}", h.statement);
        assert!(!h.support.as_ref().unwrap().held_out);
    }
    let many = tested(1, 13);
    let supported: Vec<_> = many
        .iter()
        .filter(|h| h.status == HypothesisStatus::Supported)
        .collect();
    assert!(!supported.is_empty(), "thirteen texts support something");
    for h in supported {
        assert!(h.support.as_ref().unwrap().held_out, "{}", h.statement);
    }
}

#[test]
fn drafts_in_ones_own_manner_follow_more_claims() {
    let harrow = tested(0, 13);
    let mean = |author: usize| {
        let shares: Vec<f64> = demo::authors()[author]
            .held_out()
            .map(|t| {
                let (met, checked) = follows(&harrow, &t.text);
                assert_eq!(
                    checked as usize,
                    harrow.len(),
                    "all can be checked on a text of this length"
                );
                f64::from(met) / f64::from(checked)
            })
            .collect();
        shares.iter().sum::<f64>() / shares.len() as f64
    };
    assert!(mean(0) > mean(1) + 0.2, "own {} other {}", mean(0), mean(1));
    assert_eq!(follows(&harrow, "Too short to say."), (0, 0));
}

#[test]
fn decisions_outlive_a_new_reading() {
    let fresh = tested(0, 13);
    let mut accepted = fresh[0].clone();
    accepted.id = HypothesisId::from("h-kept");
    accepted.status = HypothesisStatus::Edited;
    accepted.statement = "I like a dash.".into();
    let mut gone = fresh[1].clone();
    gone.id = HypothesisId::from("h-gone");
    gone.support.as_mut().unwrap().feature = "punct.slash".into();
    gone.status = HypothesisStatus::Proposed;
    let mut rejected = gone.clone();
    rejected.id = HypothesisId::from("h-rejected");
    rejected.status = HypothesisStatus::Rejected;
    let added = own(HypothesisId::from("h-own"), "I never swear.");
    let merged = merge(&[accepted, gone, rejected, added], fresh.clone());
    let find = |id: &str| merged.iter().find(|h| h.id.as_str() == id);
    assert_eq!(find("h-kept").unwrap().statement, "I like a dash.");
    assert_eq!(
        find("h-kept").unwrap().support,
        fresh[0].support,
        "its test is renewed"
    );
    assert!(
        find("h-gone").is_none(),
        "an undecided claim that no longer stands out goes"
    );
    assert!(find("h-rejected").is_some() && find("h-own").is_some());
    let same = merged
        .iter()
        .filter(|h| {
            h.support
                .as_ref()
                .is_some_and(|s| s.feature == fresh[0].support.as_ref().unwrap().feature)
        })
        .count();
    assert_eq!(same, 1, "the habit is not claimed twice");
}
