//! Tested claims: which counted habits set a writer apart surely enough to be said, by empirical Bayes with other
//! writers' variances, and whether a claim holds on texts it was not drawn from. Wording is `persona`'s work.

use idiolect_core::Interval;
use idiolect_core::hypothesis::{Category, Support};
use serde::Serialize;

use crate::catalog::{Finder, catalog};
use crate::features::FeatureVector;
use crate::fingerprint::MIN_WORDS;
use crate::reference::{FeatureStats, ReferenceStyle};
use crate::stats::{auc_interval, mean, normal_cdf};

/// How far a claim may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// AUC above .60 even at the lower bound: four in five such claims held on unseen texts in our runs.
    Supported,
    /// AUC bound above .55, or the direction is surer than 95 %.
    Proposed,
}

/// One counted habit, claimed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Claim {
    /// Feature id.
    pub feature: String,
    /// Its place in the catalog.
    pub position: usize,
    pub category: Category,
    /// `+1` more than others, `-1` less.
    pub direction: i8,
    /// Mean over the writer's texts, in `unit`.
    pub own: f64,
    /// Reference writers' mean, in `unit`.
    pub others: f64,
    pub unit: String,
    /// Probability that the direction is right.
    pub p_sign: f64,
    /// Predicted AUC of the writer's unseen texts against others', in the claimed direction.
    pub auc: f64,
    /// Its lower bound (1.28 posterior standard deviations).
    pub lcb_auc: f64,
    /// Share of the writer's texts on the claimed side of the reference median, 0-1.
    pub share: f64,
    pub texts: usize,
    pub standing: Standing,
}

/// Claims are few, so that each can be read.
pub const MAX_CLAIMS: usize = 12;

const SUPPORTED: f64 = 0.60;
const PROPOSED: f64 = 0.55;
/// The lower 10 % point of the posterior.
const BOUND: f64 = 1.28;

/// The surest claims about a writer from their texts, surest first, no two of which say the same. Texts below
/// [`MIN_WORDS`] words are left out.
#[must_use]
pub fn claims(texts: &[FeatureVector], reference: &ReferenceStyle) -> Vec<Claim> {
    let texts: Vec<&FeatureVector> = texts.iter().filter(|t| t.words >= MIN_WORDS).collect();
    if texts.is_empty() {
        return Vec::new();
    }
    let mut all: Vec<Claim> = (0..catalog().len())
        .filter_map(|i| reference.stats(i).and_then(|stats| claim(i, stats, &texts)))
        .collect();
    all.sort_by(|a, b| b.lcb_auc.total_cmp(&a.lcb_auc));
    let mut chosen: Vec<Claim> = Vec::new();
    for claim in all {
        if chosen.len() == MAX_CLAIMS {
            break;
        }
        if !chosen.iter().any(|c| {
            reference.are_redundant(c.position, claim.position)
                || same_habit(&c.feature, &claim.feature)
        }) {
            chosen.push(claim);
        }
    }
    chosen
}

/// Features that count one thing in two ways, whatever their correlation.
fn same_habit(a: &str, b: &str) -> bool {
    const FAMILIES: [&[&str]; 7] = [
        &[
            "lex.first_singular",
            "word.i",
            "opener.i",
            "sentence.first_person",
        ],
        &["lex.first_plural", "word.we", "opener.we"],
        &["lex.second_person", "word.you", "opener.you"],
        &[
            "sentence.mean",
            "sentence.median",
            "sentence.long",
            "sentence.short",
            "readability.grade",
        ],
        &[
            "length.mean",
            "readability.syllables",
            "readability.flesch",
            "length.10",
        ],
        &[
            "vocabulary.mattr50",
            "vocabulary.mtld",
            "vocabulary.hapax",
            "vocabulary.yule_k",
        ],
        &[
            "contraction.any",
            "contraction.negative",
            "lex.uncontracted",
        ],
    ];
    let word = |id: &str| id.split_once('.').map(|(_, w)| w.to_owned());
    let both_words = [a, b]
        .iter()
        .all(|id| id.starts_with("word.") || id.starts_with("opener."));
    (both_words && word(a) == word(b)) || FAMILIES.iter().any(|f| f.contains(&a) && f.contains(&b))
}

fn claim(position: usize, stats: &FeatureStats, texts: &[&FeatureVector]) -> Option<Claim> {
    let feature = &catalog().features()[position];
    let k = texts.len() as f64;
    let values: Vec<f64> = texts.iter().map(|t| t.values[position]).collect();
    let deviation = mean(
        &values
            .iter()
            .map(|v| stats.normal_score(*v))
            .collect::<Vec<_>>(),
    ) - stats.centre;
    let (within, between) = (stats.within, stats.between);
    let noise = within / k;
    let posterior_mean = between / (between + noise) * deviation;
    let posterior_sd = (between * noise / (between + noise)).sqrt();
    let spread = (2.0 * within + between).sqrt();
    let p_sign = normal_cdf(posterior_mean.abs() / posterior_sd);
    let lcb_auc = normal_cdf((posterior_mean.abs() - BOUND * posterior_sd) / spread);
    let standing = if lcb_auc > SUPPORTED {
        Standing::Supported
    } else if lcb_auc > PROPOSED || p_sign > 0.95 {
        Standing::Proposed
    } else {
        return None;
    };
    let direction: i8 = if posterior_mean >= 0.0 { 1 } else { -1 };
    let own = mean(&values);
    // Ranks and means can point apart on a skewed feature; such a claim could not be told to a person.
    if (own - stats.mean) * f64::from(direction) <= 0.0 {
        return None;
    }
    // "Less than others" of what most others do not do either says nothing.
    if direction < 0 && stats.median() <= 0.0 && !matches!(feature.finder, Finder::Figure(_)) {
        return None;
    }
    let claimed = values
        .iter()
        .filter(|v| (**v - stats.median()) * f64::from(direction) > 0.0)
        .count();
    Some(Claim {
        feature: feature.id.clone(),
        position,
        category: feature.category,
        direction,
        own,
        others: stats.mean,
        unit: feature.unit.label().to_owned(),
        p_sign,
        auc: normal_cdf(posterior_mean.abs() / spread),
        lcb_auc,
        share: claimed as f64 / k,
        texts: texts.len(),
        standing,
    })
}

/// A claim on texts it was not drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct HeldOut {
    /// Share of pairs (own text, other writer's text) in the claimed direction, ties half.
    pub auc: f64,
    /// 95 % (Hanley & McNeil).
    pub interval: Interval,
    pub texts: usize,
}

impl HeldOut {
    /// The interval lies above chance.
    #[must_use]
    pub fn confirms(&self) -> bool {
        self.interval.low > 0.5
    }

    /// The interval lies below chance.
    #[must_use]
    pub fn refutes(&self) -> bool {
        self.interval.high < 0.5
    }
}

/// Tests a claim on the writer's held-out texts against the reference texts; `None` without texts or reference.
#[must_use]
pub fn held_out(
    claim: &Claim,
    texts: &[FeatureVector],
    reference: &ReferenceStyle,
) -> Option<HeldOut> {
    let stats = reference.stats(claim.position)?;
    let ranks: Vec<f64> = texts
        .iter()
        .filter(|t| t.words >= MIN_WORDS)
        .map(|t| stats.rank(t.values[claim.position]))
        .collect();
    if ranks.is_empty() {
        return None;
    }
    let above = mean(&ranks);
    let auc = if claim.direction > 0 {
        above
    } else {
        1.0 - above
    };
    Some(HeldOut {
        auc,
        interval: auc_interval(auc, ranks.len(), reference.group().texts),
        texts: ranks.len(),
    })
}

impl Claim {
    /// The test behind the claim in the form a hypothesis keeps: measured on held-out texts where there are any, else
    /// predicted with its posterior interval.
    #[must_use]
    pub fn support(&self, held_out: Option<HeldOut>) -> Support {
        let predicted = Interval::new(self.lcb_auc, (2.0 * self.auc - self.lcb_auc).min(1.0));
        Support {
            feature: self.feature.clone(),
            direction: self.direction,
            value: self.own,
            others: self.others,
            unit: self.unit.clone(),
            share: self.share,
            texts: u32::try_from(self.texts).unwrap_or(u32::MAX),
            auc: held_out.map_or(self.auc, |h| h.auc),
            auc_interval: held_out.map_or(predicted, |h| h.interval),
            held_out: held_out.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::measure;

    const LOUD: [&str; 3] = [
        "Wow, what a day! We got there at six and it was already packed! I don't know how they do it! So I grab a coffee, right? \
         And guess who is there! Ann! Can you believe that? She has been there since five! We just laughed! Then the doors open \
         and it is chaos! I lost my hat, I lost my phone, I even lost Ann! But it is fine! We will do it again next year!",
        "Hey! The cake came out great! Three layers! I put the lemon in the middle one and it held! Mum came by and ate two \
         slices! Two! And she never eats cake! Next time I want to try it with plums! Or pears! What do you think? You should \
         come over and help me! Bring the big pan! And do not forget the sugar this time! It was so funny when you did that!",
        "Guess what! The bike is fixed! I did it all by myself! New chain, new brakes, and it flies! I went up to the lake and \
         back before breakfast! The water was so still! I saw a heron! A real one! It stood there and looked at me! You have to \
         see it! Let us go on Sunday! Early! I will bring the rolls! Tell Sam! He will love it! We can race to the mill!",
    ];

    #[test]
    fn a_plain_habit_is_claimed_with_its_numbers() {
        let vectors: Vec<FeatureVector> = LOUD.iter().map(|t| measure(t)).collect();
        let reference = ReferenceStyle::shipped();
        let claims = claims(&vectors, reference);
        assert!(
            (1..=MAX_CLAIMS).contains(&claims.len()),
            "{} claims",
            claims.len()
        );
        assert!(
            claims.is_sorted_by(|a, b| a.lcb_auc >= b.lcb_auc),
            "surest first"
        );
        let loud = claims
            .iter()
            .find(|c| c.feature.contains("exclamation"))
            .expect("the loudest habit is claimed");
        assert_eq!(
            (loud.direction, loud.standing, loud.share),
            (1, Standing::Supported, 1.0),
            "{loud:?}"
        );
        assert!(loud.own > loud.others && loud.auc > loud.lcb_auc);
        let held = held_out(loud, &vectors[..1], reference).expect("a text to test on");
        assert!(held.auc > 0.9, "the same habit on a text: {held:?}");
        assert!(loud.support(Some(held)).held_out && !loud.support(None).held_out);
    }

    #[test]
    fn few_words_or_no_reference_give_no_claims() {
        assert!(claims(&[measure("Too short!")], ReferenceStyle::shipped()).is_empty());
        assert!(claims(&[measure(LOUD[0])], &ReferenceStyle::from_measured(&[])).is_empty());
    }

    #[test]
    fn one_text_claims_less_surely_than_three_alike() {
        let vectors: Vec<FeatureVector> = LOUD.iter().map(|t| measure(t)).collect();
        let position = catalog().position("punct.exclamation").expect("a feature");
        let stats = ReferenceStyle::shipped().stats(position).expect("shipped");
        let one = claim(position, stats, &[&vectors[0]]).map_or(0.0, |c| c.lcb_auc);
        let three =
            claim(position, stats, &vectors.iter().collect::<Vec<_>>()).map_or(0.0, |c| c.lcb_auc);
        assert!(three > one, "one text {one}, three texts {three}");
    }
}
