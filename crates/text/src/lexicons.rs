//! Our own word lists, lower case with straight apostrophes; entries with a blank are phrases. Counting them is
//! `features`' work. Lists are short on purpose: a hit should hold up when it is shown to the writer as evidence.

/// Words that carry grammar rather than content; each one is a feature of its own.
#[rustfmt::skip]
pub const FUNCTION_WORDS: [&str; 111] = [
    "the", "a", "an", "and", "or", "but", "nor", "so", "yet", "if", "because", "although", "though", "while",
    "since", "unless", "until", "when", "where", "who", "which", "what", "that", "this", "these", "those", "there",
    "here", "of", "to", "in", "on", "at", "by", "for", "with", "from", "about", "into", "through", "over", "after",
    "before", "between", "under", "against", "during", "without", "within", "upon", "up", "out", "off", "down",
    "as", "than", "like", "then", "now", "is", "are", "was", "were", "be", "been", "being", "am", "have", "has",
    "had", "do", "does", "did", "can", "could", "will", "would", "shall", "should", "may", "might", "must", "not",
    "no", "any", "some", "all", "each", "every", "both", "many", "much", "more", "most", "other", "such", "only",
    "just", "also", "too", "even", "still", "very", "i", "you", "he", "she", "it", "we", "they", "its",
];

/// First words of sentences; each one is a feature (share of sentences).
#[rustfmt::skip]
pub const OPENERS: [&str; 22] = [
    "and", "but", "so", "or", "because", "i", "we", "you", "he", "she", "it", "they", "this", "that", "the",
    "there", "in", "if", "when", "as", "also", "however",
];

#[rustfmt::skip]
pub const HEDGES: &[&str] = &[
    "perhaps", "maybe", "possibly", "probably", "apparently", "seemingly", "presumably", "arguably", "roughly",
    "somewhat", "fairly", "sort of", "kind of", "a bit", "a little", "more or less", "it seems", "it appears",
    "seems to", "seem to", "appears to", "appear to", "tends to", "tend to", "i think", "i guess", "i suppose",
    "i believe", "i feel like", "in a way", "in some ways", "to some extent", "not sure", "likely", "almost",
    "partly", "generally", "usually", "often", "sometimes",
];

#[rustfmt::skip]
pub const BOOSTERS: &[&str] = &[
    "very", "really", "so much", "extremely", "absolutely", "completely", "totally", "definitely", "certainly",
    "clearly", "obviously", "surely", "truly", "indeed", "of course", "no doubt", "without a doubt", "always",
    "never", "highly", "deeply", "incredibly", "particularly", "especially", "entirely", "fully", "undoubtedly",
    "in fact", "literally", "super",
];

#[rustfmt::skip]
pub const MODALS_POSSIBILITY: &[&str] = &[
    "can", "could", "may", "might", "can't", "cannot", "couldn't", "mightn't",
];
#[rustfmt::skip]
pub const MODALS_OBLIGATION: &[&str] = &[
    "must", "should", "shouldn't", "ought", "have to", "has to", "had to", "need to", "needs to", "got to",
    "mustn't",
];
#[rustfmt::skip]
pub const MODALS_PREDICTION: &[&str] = &[
    "will", "would", "won't", "wouldn't", "shall", "going to", "gonna", "i'll", "we'll", "you'll",
];

#[rustfmt::skip]
pub const FIRST_SINGULAR: &[&str] = &[
    "i", "me", "my", "mine", "myself", "i'm", "i've", "i'd", "i'll",
];
#[rustfmt::skip]
pub const FIRST_PLURAL: &[&str] = &[
    "we", "us", "our", "ours", "ourselves", "we're", "we've", "we'd", "we'll", "let's",
];
#[rustfmt::skip]
pub const SECOND_PERSON: &[&str] = &[
    "you", "your", "yours", "yourself", "yourselves", "you're", "you've", "you'd", "you'll",
];
#[rustfmt::skip]
pub const THIRD_SINGULAR: &[&str] = &[
    "he", "him", "his", "himself", "she", "her", "hers", "herself", "he's", "she's", "he'd", "she'd", "he'll",
    "she'll",
];
#[rustfmt::skip]
pub const THIRD_PLURAL: &[&str] = &[
    "they", "them", "their", "theirs", "themselves", "they're", "they've", "they'd", "they'll",
];
#[rustfmt::skip]
pub const IMPERSONAL: &[&str] = &[
    "one", "people", "someone", "somebody", "anyone", "anybody", "everyone", "everybody", "nobody",
];

#[rustfmt::skip]
pub const CONNECTIVES_FORMAL: &[&str] = &[
    "however", "therefore", "thus", "hence", "moreover", "furthermore", "nevertheless", "nonetheless",
    "consequently", "accordingly", "in addition", "as a result", "in contrast", "on the other hand",
    "in conclusion", "additionally", "whereas", "for instance", "that is", "rather",
];
#[rustfmt::skip]
pub const CONNECTIVES_INFORMAL: &[&str] = &[
    "anyway", "anyways", "plus", "besides", "then again", "so yeah", "well", "also", "after all", "by the way",
    "btw", "still",
];
#[rustfmt::skip]
pub const CAUSE: &[&str] = &[
    "because", "since", "due to", "so that", "as a result", "because of", "therefore", "reason", "reasons", "why",
];
#[rustfmt::skip]
pub const CONTRAST: &[&str] = &[
    "but", "although", "though", "however", "even though", "whereas", "while", "despite", "in spite of", "yet",
    "instead",
];
#[rustfmt::skip]
pub const CONDITION: &[&str] = &[
    "if", "unless", "whether", "otherwise", "in case", "as long as", "provided that",
];
#[rustfmt::skip]
pub const EXAMPLES: &[&str] = &[
    "for example", "for instance", "such as", "like this", "including", "specifically", "namely",
];
#[rustfmt::skip]
pub const ORDERING: &[&str] = &[
    "first", "second", "third", "firstly", "secondly", "finally", "next", "lastly", "then", "to begin with",
];

#[rustfmt::skip]
pub const NEGATION: &[&str] = &[
    "not", "no", "never", "none", "nothing", "nobody", "nowhere", "neither", "nor", "cannot", "without", "don't",
    "doesn't", "didn't", "isn't", "aren't", "wasn't", "weren't", "can't", "couldn't", "won't", "wouldn't",
    "shouldn't", "haven't", "hasn't", "hadn't", "ain't",
];

#[rustfmt::skip]
pub const SAYING: &[&str] = &[
    "said", "say", "says", "saying", "told", "tell", "tells", "asked", "ask", "asks", "added", "explained",
    "stated", "claimed", "argued", "replied", "answered", "suggested", "mentioned", "noted",
];
#[rustfmt::skip]
pub const THINKING: &[&str] = &[
    "think", "thinks", "thought", "thinking", "know", "knew", "knows", "believe", "believed", "feel", "felt",
    "understand", "guess", "suppose", "wonder", "wondering", "realize", "realise", "realized", "realised",
    "remember", "hope", "consider", "imagine",
];
#[rustfmt::skip]
pub const POSITIVE: &[&str] = &[
    "good", "great", "nice", "love", "loved", "happy", "glad", "best", "better", "wonderful", "excellent", "fun",
    "enjoy", "enjoyed", "thanks", "thank", "beautiful", "excited", "amazing", "awesome", "lovely", "perfect",
    "pleased", "delighted", "favorite", "favourite",
];
#[rustfmt::skip]
pub const NEGATIVE: &[&str] = &[
    "bad", "worse", "worst", "hate", "hated", "sad", "sorry", "wrong", "problem", "problems", "hard", "difficult",
    "afraid", "terrible", "awful", "angry", "hurt", "fear", "worried", "worry", "unfortunately", "annoying",
    "boring", "ugly", "fail", "failed",
];
#[rustfmt::skip]
pub const POLITE: &[&str] = &[
    "please", "thanks", "thank you", "sorry", "excuse me", "would you mind", "could you", "would you",
    "i appreciate", "grateful", "kindly", "pardon", "welcome", "let me know", "feel free",
];
#[rustfmt::skip]
pub const INFORMAL: &[&str] = &[
    "yeah", "yep", "yup", "nope", "ok", "okay", "hey", "hi", "gonna", "wanna", "gotta", "kinda", "sorta", "lol",
    "haha", "hahaha", "omg", "btw", "guys", "guy", "kids", "stuff", "cool", "crazy", "awesome", "dude", "crap",
    "damn", "wow", "ugh", "hmm", "oh", "ya", "u", "ur", "thx", "pls", "cuz", "cause", "bucks", "huge", "lots",
    "a lot", "tons of", "pretty much", "big deal",
];
#[rustfmt::skip]
pub const VAGUE: &[&str] = &[
    "thing", "things", "something", "anything", "everything", "stuff", "and so on", "etc", "or something",
    "whatever", "somehow",
];
#[rustfmt::skip]
pub const QUANTITY: &[&str] = &[
    "many", "much", "several", "few", "lots", "a lot", "most", "plenty", "various", "numerous", "multiple",
    "couple",
];
#[rustfmt::skip]
pub const TIME: &[&str] = &[
    "today", "yesterday", "tomorrow", "now", "then", "soon", "later", "recently", "currently", "already", "ago",
    "once", "finally", "eventually", "meanwhile", "tonight", "early", "late",
];
#[rustfmt::skip]
pub const NUMBER_WORDS: &[&str] = &[
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "twenty",
    "thirty", "hundred", "thousand", "million", "billion",
];
#[rustfmt::skip]
pub const WH_WORDS: &[&str] = &[
    "who", "whom", "whose", "which", "what", "when", "where", "why", "how",
];
#[rustfmt::skip]
pub const RELATIVE_FORMAL: &[&str] = &[
    "which", "whom", "whose", "whereby", "wherein", "thereby", "upon",
];
#[rustfmt::skip]
pub const BE_FORMS: &[&str] = &[
    "am", "is", "are", "was", "were", "be", "been", "being", "isn't", "aren't", "wasn't", "weren't",
];
#[rustfmt::skip]
pub const BRITISH: &[&str] = &[
    "colour", "favour", "favourite", "behaviour", "honour", "labour", "neighbour", "centre", "theatre", "programme",
    "realise", "realised", "organise", "organised", "organisation", "recognise", "recognised", "apologise",
    "whilst", "amongst", "learnt", "travelling", "cancelled", "defence", "licence", "grey", "cheque", "metre",
    "analyse",
];
#[rustfmt::skip]
pub const AMERICAN: &[&str] = &[
    "color", "favor", "favorite", "behavior", "honor", "labor", "neighbor", "center", "theater", "program",
    "realize", "realized", "organize", "organized", "organization", "recognize", "recognized", "apologize",
    "traveling", "canceled", "defense", "license", "gray", "meter", "analyze",
];

/// Openings of a message. Matched at the start of the first lines only.
#[rustfmt::skip]
pub const GREETINGS: &[&str] = &[
    "hi", "hello", "hey", "dear", "good morning", "good afternoon", "good evening", "greetings", "hiya", "howdy",
    "to whom it may concern",
];

/// Closings of a message. Matched at the start of the last lines only.
#[rustfmt::skip]
pub const SIGN_OFFS: &[&str] = &[
    "best", "best regards", "best wishes", "kind regards", "warm regards", "warmest regards", "regards",
    "sincerely", "yours sincerely", "yours faithfully", "yours truly", "yours", "thanks", "thanks again",
    "many thanks", "thank you", "thx", "cheers", "love", "lots of love", "take care", "respectfully", "cordially",
    "talk soon", "see you", "see you soon", "all the best", "with best wishes", "xoxo", "ciao", "bye", "later",
];

/// Pairs (informal, formal) of one meaning, for measuring and for edits that keep the meaning.
#[rustfmt::skip]
pub const FORMALITY_PAIRS: &[(&str, &str)] = &[
    ("get", "obtain"), ("buy", "purchase"), ("ask", "inquire"), ("help", "assist"), ("need", "require"),
    ("start", "commence"), ("end", "conclude"), ("show", "demonstrate"), ("use", "utilize"), ("try", "attempt"),
    ("tell", "inform"), ("think", "consider"), ("but", "however"), ("so", "therefore"), ("also", "in addition"),
    ("about", "regarding"), ("enough", "sufficient"), ("lots of", "numerous"), ("a lot of", "a great deal of"),
    ("kids", "children"), ("ok", "acceptable"), ("fix", "repair"), ("let", "permit"), ("keep", "retain"),
    ("give", "provide"), ("find out", "ascertain"), ("put off", "postpone"), ("go up", "increase"),
    ("go down", "decrease"), ("big", "large"),
];

/// Uncontracted forms whose contraction is usual (`do not` for `don't`).
#[rustfmt::skip]
pub const UNCONTRACTED: &[&str] = &[
    "do not", "does not", "did not", "is not", "are not", "was not", "were not", "can not", "cannot", "could not",
    "will not", "would not", "should not", "have not", "has not", "had not", "i am", "i have", "i will", "it is",
    "that is", "we are", "you are", "they are", "there is", "let us",
];

/// Past participles without `-ed`, for the passive proxy.
#[rustfmt::skip]
pub const IRREGULAR_PARTICIPLES: &[&str] = &[
    "built", "bought", "brought", "caught", "chosen", "done", "drawn", "driven", "eaten", "fed", "felt", "found",
    "forgotten", "given", "gone", "held", "hidden", "hit", "hurt", "kept", "known", "laid", "led", "left", "lost",
    "made", "meant", "met", "paid", "put", "read", "said", "seen", "sent", "set", "shown", "shot", "sold", "spent",
    "spoken", "stolen", "taken", "taught", "thought", "thrown", "told", "torn", "understood", "won", "worn",
    "written",
];

/// Content-free words for retrieval and keywords, beyond [`FUNCTION_WORDS`].
#[rustfmt::skip]
pub const STOP_WORDS_EXTRA: &[&str] = &[
    "me", "my", "mine", "him", "his", "her", "hers", "our", "ours", "us", "your", "yours", "them", "their",
    "theirs", "how", "why", "whom", "whose", "one", "ones", "get", "got", "gets", "getting", "go", "goes", "going",
    "went", "gone", "make", "makes", "made", "say", "says", "said", "see", "well", "back", "way", "really", "thing",
    "things", "something", "anything", "lot", "own", "same", "let", "us", "yes", "ok", "dear", "hi", "hello", "hey",
    "thanks", "regards", "etc", "doing", "having", "never", "always", "ever", "i'm", "i've", "i'd", "i'll", "it's",
    "that's", "don't", "doesn't", "didn't", "can't", "couldn't", "won't", "wouldn't", "isn't", "aren't", "wasn't",
    "weren't", "there's", "you're", "we're", "they're", "what's", "let's", "he's", "she's", "you've", "we've",
    "they've", "haven't", "hasn't", "hadn't", "shouldn't", "we'll", "you'll", "they'll",
];

/// True for words that carry grammar or ceremony rather than content; `word` in normal form.
#[must_use]
pub fn is_stop_word(word: &str) -> bool {
    FUNCTION_WORDS.contains(&word) || STOP_WORDS_EXTRA.contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn words_that_are_features_are_listed_once_and_in_normal_form() {
        for (name, list) in [
            ("FUNCTION_WORDS", &FUNCTION_WORDS[..]),
            ("OPENERS", &OPENERS[..]),
            ("HEDGES", HEDGES),
        ] {
            let unique: HashSet<_> = list.iter().collect();
            assert_eq!(
                unique.len(),
                list.len(),
                "{name} repeats a word, which would count it twice"
            );
            assert!(
                list.iter().all(|w| *w == crate::segment::normal_word(w)),
                "{name} has a word not in normal form"
            );
        }
    }
}
