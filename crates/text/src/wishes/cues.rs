//! Words that say whether what follows them is wanted. Lower case with straight apostrophes; several words are a phrase,
//! and the longest phrase that fits wins. Grammar around them is the parser's work.

/// What follows is wanted.
#[rustfmt::skip]
pub(super) const WANTING: &[&str] = &[
    "prefer", "preference for", "preference", "favor", "favour", "rather", "choose", "opt for", "lean towards",
    "love", "love for", "adore", "like", "enjoy", "appreciate", "value", "prize", "fan of", "fond of", "keen on",
    "partial to", "into", "drawn to", "passionate about", "crave", "interested in", "interest in", "interest",
    "want", "wish for", "hope for", "need", "require", "insist on", "look for", "looking for", "seek", "seeking",
    "prioritize", "prioritise", "follow", "adhere to", "stick to", "committed to", "believe in", "only", "exclusively",
    "comfortable with", "at ease", "care for", "use for", "tolerate", "stand", "bear",
];

/// What follows is not wanted.
#[rustfmt::skip]
pub(super) const SHUNNING: &[&str] = &[
    "dislike", "disliked", "dislikes", "dislike for", "dislike of", "hate", "hatred of", "hatred for", "detest",
    "loathe", "despise", "can't stand", "cannot stand", "can't bear", "cannot bear", "can't tolerate",
    "cannot tolerate", "can't handle", "cannot handle", "distaste for", "disinterest in", "turned off by",
    "put off by", "annoyed by", "bothered by", "bored by", "bored with", "tired of", "sick of",
    "avoid", "avoids", "avoiding", "avoidance of", "refuse", "refrain from", "abstain from", "steer clear of",
    "stay away from", "keep away from", "boycott", "skip", "ban", "eliminate", "cut out", "stop", "minimize",
    "minimise", "reduce", "limit", "averse to", "aversion to", "aversion", "opposed to", "against", "object to",
    "disapprove of", "reluctant to", "hesitant to", "hesitant about", "wary of", "skeptical of", "sceptical of",
    "afraid of", "fear", "fear of", "scared of", "terrified of", "phobia of", "nervous about", "nervous in",
    "anxious", "anxious about", "anxious in", "uncomfortable", "uncomfortable with", "struggle with", "suffer from",
    "bad experience with", "bad experiences with", "allergic to", "intolerant to",
    "intolerance to", "sensitive to", "sensitivity to",
];

/// What is not borne: the word before it ("peanut allergy"), or after it with "to" or "of".
#[rustfmt::skip]
pub(super) const CONDITIONS: &[&str] = &[
    "allergy", "allergies", "intolerance", "intolerant", "phobia", "sensitivity",
];

/// Turns the verb or noun behind it.
#[rustfmt::skip]
pub(super) const NEGATORS: &[&str] = &[
    "not", "never", "no", "don't", "doesn't", "didn't", "can't", "cannot", "couldn't", "won't", "wouldn't",
    "shouldn't", "isn't", "aren't", "none", "neither", "nor", "hardly", "rarely", "seldom",
];

/// Turns the rest of the clause without being a verb's negation.
#[rustfmt::skip]
pub(super) const REVERSERS: &[&str] = &[
    "rather than", "instead of", "as opposed to", "other than", "over", "without", "lack", "lacks", "lacking",
    "lack of", "free of", "free from", "except", "unless", "exclude", "excluding", "devoid of", "absence of",
    "far from", "away from", "outside", "outside of",
];

/// Verbs that give a verdict, if an [`OFF_PUTTING`] word is among what follows.
#[rustfmt::skip]
pub(super) const VERDICTS: &[&str] = &[
    "find", "finds", "feel", "feels", "make", "makes", "making", "get", "gets", "give", "gives", "giving", "seem",
    "seems",
];

/// Makes what it is said of unwanted.
#[rustfmt::skip]
pub(super) const OFF_PUTTING: &[&str] = &[
    "too", "overly", "off-putting", "overwhelming", "boring", "dull", "tedious", "uninteresting", "predictable",
    "pretentious", "impersonal", "sterile", "cold", "noisy", "dirty", "unsafe", "frightening", "scary",
    "disgusting", "uncomfortable", "uneasy", "stressful", "annoying", "irritating", "distracting", "exhausting",
    "unpleasant", "unappealing", "unnecessary", "difficult", "hard", "cramped", "claustrophobic", "anxious",
    "jittery", "nauseous", "sick", "dizzy", "headache", "headaches", "migraine", "migraines",
];

/// Begins a reason or a turn: what was meant by the main clause holds again.
pub(super) const TURNS: &[&str] = &["but", "because", "due", "since"];

/// Joins members of a list, or begins examples.
#[rustfmt::skip]
pub(super) const JOINTS: &[&str] = &["and", "or", "such", "including", "like", "especially", "particularly"];

/// A clause that holds one of these is about what it describes: a negation inside is not the speaker's.
pub(super) const RELATIVES: &[&str] = &["that", "which", "who", "where"];

/// Stand between two clauses without belonging to either; beside words without content.
#[rustfmt::skip]
pub(super) const CONNECTORS: &[&str] = &[
    "while", "although", "though", "therefore", "thus", "hence", "however", "always", "strongly", "absolutely",
    "almost", "try", "tries",
];

/// Words without content of their own in a wish, beside [`is_stop_word`](crate::lexicons::is_stop_word).
#[rustfmt::skip]
pub(super) const EMPTY: &[&str] = &[
    "am", "myself", "having", "strongly", "strictly", "absolutely", "completely", "entirely", "whatsoever", "severe",
    "strict", "strong", "deep", "extreme", "intense", "acute", "usually", "generally", "typically", "often",
    "including", "especially", "particularly", "whenever", "possible", "everything", "kind", "kinds", "type", "types",
    "sort", "sorts", "form", "forms", "ways", "use", "using", "used", "given", "due", "personal", "reason", "reasons",
    "concern", "concerns", "issue", "issues", "involve", "involves", "involving", "feature", "features", "featuring",
    "contain", "contains", "containing", "related", "find", "finds", "feel", "feels",
];

/// Says of a piece of an offer that what it names is not there, or little of it.
#[rustfmt::skip]
pub(super) const ABSENCES: &[&str] = &[
    "no", "not", "without", "non", "never", "free", "zero", "lack", "lacks", "lacking", "less", "lower", "minimal",
    "minimally", "reduced", "limited", "away", "avoid", "avoids", "avoiding", "alternative", "alternatives",
    "instead", "beyond", "nonexistent",
];

/// Negations that only advertise.
#[rustfmt::skip]
pub(super) const ADVERTISING: &[&str] = &[
    "don't miss", "do not miss", "never miss", "miss out", "not to be missed", "don't forget", "do not forget",
    "don't hesitate", "don't overlook", "can't go wrong", "cannot go wrong", "can't beat", "never disappoints",
    "not only", "no doubt", "no wonder", "no matter", "nothing beats", "nothing like",
];

/// A piece of an offer begins before one of these.
pub(super) const OPENINGS: &[&str] = &["with", "without", "but", "featuring", "offering", "and"];
