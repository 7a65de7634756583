//! What a wish says without saying it: opposites ("no crowded places" wants quiet ones) and what a word brings with it (a
//! vegan wants no cheese).
//!
//! Two short tables for everyday English. They are kept to what a primer holds: scales that common adjectives lie on; diets
//! and the allergens that food labels must name; drinks and drugs; ways to travel; common fears. No brands, no places, no titles.

use super::Wishes;

/// Scales: words at one end stand against those at the other, the most usual ones first.
#[rustfmt::skip]
const SCALES: &[(&[&str], &[&str])] = &[
    // Amount and extent.
    (&["large", "big", "huge"], &["small", "tiny", "little"]),
    (&["long", "lengthy"], &["short", "brief"]),
    (&["high", "tall", "high-rise"], &["low", "low-rise"]),
    (&["higher"], &["lower"]),
    (&["heavy"], &["light", "lightweight"]),
    (&["complicated", "complex"], &["simple", "plain"]),
    (&["expensive", "costly", "pricey", "luxurious", "luxury"], &["affordable", "inexpensive", "cheap", "budget"]),
    // What the senses tell.
    (&["loud", "noisy", "noise"], &["quiet", "silent", "peaceful"]),
    (&["crowded", "busy", "bustling", "crowds"], &["quiet", "uncrowded", "secluded", "solitude"]),
    (&["hot", "warm", "heat"], &["cool", "cold", "chilly"]),
    (&["wet", "humid", "rainy"], &["dry", "sunny"]),
    (&["bright", "colorful", "colourful", "bold"], &["muted", "neutral", "plain"]),
    (&["dark", "dim"], &["bright", "light"]),
    (&["rough", "hard"], &["smooth", "soft"]),
    (&["glossy", "shiny"], &["matte"]),
    (&["dirty", "polluted"], &["clean"]),
    (&["spicy", "hot"], &["mild"]),
    (&["sweet", "sugary"], &["savory", "bitter"]),
    (&["raw"], &["cooked"]),
    (&["fried", "greasy"], &["grilled", "baked", "steamed"]),
    (&["processed", "frozen", "canned"], &["fresh", "whole"]),
    // Pace, effort, risk, mood.
    (&["fast", "quick", "fast-paced"], &["slow", "leisurely"]),
    (&["hectic", "stressful"], &["relaxed", "calm"]),
    (&["strenuous", "intense", "demanding"], &["gentle", "easy", "moderate"]),
    (&["dangerous", "risky"], &["safe"]),
    (&["violent", "violence", "brutal"], &["peaceful", "gentle"]),
    (&["serious", "sad"], &["funny", "light-hearted"]),
    (&["strict", "rigid", "structured", "fixed"], &["flexible", "free"]),
    (&["formal", "fancy"], &["casual", "informal"]),
    (&["competitive"], &["cooperative"]),
    // Company and place.
    (&["public", "shared", "communal"], &["private"]),
    (&["group", "together"], &["solo", "alone", "individual"]),
    (&["urban", "city", "downtown"], &["rural", "countryside", "suburban"]),
    (&["beach", "coastal", "beachfront"], &["mountain", "inland"]),
    (&["indoor", "indoors", "inside"], &["outdoor", "outdoors", "outside"]),
    (&["remote", "home"], &["office", "on-site"]),
    (&["chain", "corporate"], &["independent", "local", "family-run"]),
    (&["popular", "mainstream", "touristy"], &["lesser-known", "niche"]),
    // Time.
    (&["old", "traditional", "classic", "historic", "vintage"], &["modern", "new", "contemporary"]),
    (&["early", "morning"], &["late", "evening"]),
    (&["day"], &["night"]),
    (&["summer"], &["winter"]),
    // How things are made and driven.
    (&["synthetic", "artificial", "chemical"], &["natural", "organic"]),
    (&["ornate", "decorated"], &["minimalist", "plain"]),
    (&["disposable", "single-use"], &["reusable"]),
    (&["digital", "electronic"], &["paper", "analog"]),
    (&["automatic"], &["manual"]),
    (&["wired", "cable"], &["wireless"]),
    (&["gas", "gasoline", "diesel"], &["electric"]),
    (&["fictional", "fiction"], &["factual", "documentary"]),
    (&["animated", "animation"], &["live-action"]),
];

const MEAT: &[&str] = &[
    "meat", "beef", "pork", "chicken", "lamb", "bacon", "ham", "sausage", "turkey", "duck", "steak",
];
const FISH: &[&str] = &[
    "fish",
    "salmon",
    "tuna",
    "cod",
    "sardines",
    "anchovies",
    "sushi",
];
const SHELLFISH: &[&str] = &[
    "shrimp", "prawns", "crab", "lobster", "oysters", "clams", "mussels", "squid", "octopus",
];
const DAIRY: &[&str] = &["milk", "cheese", "butter", "cream", "yogurt", "ice cream"];
const EGGS: &[&str] = &["eggs", "omelette", "mayonnaise"];
const OF_ANIMALS: &[&str] = &["honey", "leather", "wool", "silk", "fur"];
const WHEAT: &[&str] = &[
    "wheat", "barley", "rye", "bread", "pasta", "pastry", "flour", "noodles", "pizza", "beer",
];
const STARCH: &[&str] = &[
    "bread", "rice", "pasta", "potatoes", "noodles", "pizza", "oats", "beans", "sugar",
];
const SWEETS: &[&str] = &[
    "sugar",
    "candy",
    "cake",
    "dessert",
    "syrup",
    "chocolate",
    "soda",
];
const SALTED: &[&str] = &["salt", "salty", "soy sauce", "cured", "pickled"];
const NUTS: &[&str] = &[
    "almonds",
    "walnuts",
    "cashews",
    "pistachios",
    "hazelnuts",
    "pecans",
];
const SOY: &[&str] = &["soy sauce", "tofu", "miso", "tempeh", "edamame"];
const PLANTS: &[&str] = &["vegetables", "tofu", "beans", "plant-based"];
const ALCOHOL: &[&str] = &[
    "wine",
    "beer",
    "cocktails",
    "whiskey",
    "bar",
    "pub",
    "brewery",
];
const CAFFEINE: &[&str] = &["coffee", "espresso", "black tea", "cola", "energy drink"];
const TRANSIT: &[&str] = &["bus", "subway", "metro", "tram", "train"];
const FLIGHT: &[&str] = &["flight", "plane", "airline", "airport"];
const BOATS: &[&str] = &["boat", "ferry", "cruise", "ship", "sailing"];
const ON_WATER: &[&str] = &[
    "boat",
    "swimming",
    "diving",
    "snorkeling",
    "surfing",
    "kayaking",
    "beach",
];
const HEIGHTS: &[&str] = &[
    "climbing",
    "tower",
    "rooftop",
    "cable car",
    "skydiving",
    "bungee jumping",
    "hot air balloon",
    "mountain peak",
];
const ENCLOSED: &[&str] = &["elevator", "cave", "tunnel", "submarine"];
const ANIMALS: &[&str] = &["zoo", "aquarium", "safari", "horse riding", "dogs", "cats"];
const BLOODSHED: &[&str] = &["fight", "war", "killing", "blood", "murder", "battle"];
const UNCANNY: &[&str] = &["ghost", "haunted", "vampire", "witch", "magic", "demon"];

/// Words that mean one thing, lists of what belongs to it, and of what stands against it.
type Entry = (
    &'static [&'static str],
    &'static [&'static [&'static str]],
    &'static [&'static [&'static str]],
);

#[rustfmt::skip]
const BRINGS: &[Entry] = &[
    // Diets.
    (&["vegan", "plant-based"], &[PLANTS], &[MEAT, FISH, SHELLFISH, DAIRY, EGGS, OF_ANIMALS]),
    (&["vegetarian"], &[PLANTS], &[MEAT, FISH, SHELLFISH]),
    (&["pescatarian"], &[FISH, PLANTS], &[MEAT]),
    (&["gluten-free", "celiac", "coeliac"], &[&["rice", "corn"]], &[WHEAT]),
    (&["dairy-free", "lactose-free"], &[PLANTS], &[DAIRY]),
    (&["keto", "ketogenic", "low-carb"], &[MEAT, FISH, EGGS, &["cheese", "salad"]], &[STARCH]),
    (&["paleo"], &[MEAT, FISH, NUTS, &["vegetables"]], &[STARCH, DAIRY]),
    (&["halal"], &[], &[&["pork", "ham", "bacon"], ALCOHOL]),
    (&["kosher"], &[], &[&["pork", "ham", "bacon"], SHELLFISH]),
    (&["low-sodium", "low-salt"], &[], &[SALTED]),
    (&["low-sugar", "sugar-free"], &[], &[SWEETS]),
    (&["sober", "alcohol-free"], &[&["juice", "tea"]], &[ALCOHOL]),
    // Foods and what labels must name.
    (&["meat"], &[MEAT], &[PLANTS]),
    (&["red meat"], &[&["beef", "pork", "lamb", "steak"]], &[]),
    (&["poultry"], &[&["chicken", "turkey", "duck"]], &[]),
    (&["seafood"], &[FISH, SHELLFISH], &[]),
    (&["fish"], &[FISH], &[]),
    (&["shellfish"], &[SHELLFISH], &[]),
    (&["animal products"], &[MEAT, FISH, SHELLFISH, DAIRY, EGGS, OF_ANIMALS], &[PLANTS]),
    (&["dairy", "lactose", "milk"], &[DAIRY], &[]),
    (&["egg", "eggs"], &[EGGS], &[]),
    (&["gluten", "wheat"], &[WHEAT], &[]),
    (&["carbs", "carbohydrates"], &[STARCH], &[]),
    (&["nut", "nuts"], &[NUTS], &[]),
    (&["soy", "soya"], &[SOY], &[]),
    (&["sugar", "sweets"], &[SWEETS], &[]),
    (&["salt", "sodium"], &[SALTED], &[]),
    (&["alcohol", "alcoholic"], &[ALCOHOL], &[&["juice", "tea"]]),
    (&["caffeine", "caffeinated"], &[CAFFEINE], &[&["herbal tea", "decaf"]]),
    // Ways to travel.
    (&["public transport", "public transportation"], &[TRANSIT], &[&["car", "taxi"]]),
    (&["driving", "drive"], &[&["car", "rental car"]], &[TRANSIT]),
    (&["flying", "fly", "air travel"], &[FLIGHT], &[&["train", "car"]]),
    (&["boats", "sailing", "on water"], &[BOATS], &[&["on land"]]),
    // What many fear or shun.
    (&["heights"], &[HEIGHTS], &[&["on the ground"]]),
    (&["enclosed spaces", "tight spaces", "confined spaces"], &[ENCLOSED], &[&["open air"]]),
    (&["water", "ocean", "sea", "water activities"], &[ON_WATER], &[&["on land"]]),
    (&["animals"], &[ANIMALS], &[]),
    (&["violence", "violent", "gore"], &[BLOODSHED], &[]),
    (&["supernatural", "paranormal"], &[UNCANNY], &[]),
    (&["gambling"], &[&["casino", "poker", "betting"]], &[]),
];

impl Wishes {
    /// The clauses with every word that has an opposite replaced by it, on the other side. Empty where none has one.
    #[must_use]
    pub fn opposites(&self) -> Self {
        let mut out = Self::default();
        for (wanted, clauses) in [(true, &self.unwanted), (false, &self.wanted)] {
            for opposite in clauses.iter().flat_map(|clause| turned(clause)) {
                out.add(wanted, opposite);
            }
        }
        out
    }

    /// What the words of the clauses bring with them: what belongs to them on the same side, what stands against them on
    /// the other. Empty where no word is known.
    #[must_use]
    pub fn implied(&self) -> Self {
        let mut out = Self::default();
        for (wanted, clauses) in [(true, &self.wanted), (false, &self.unwanted)] {
            for clause in clauses {
                let known = |entry: &&Entry| entry.0.iter().any(|key| names(clause, key));
                for (_, belong, against) in BRINGS.iter().filter(known) {
                    for (side, lists) in [(wanted, belong), (!wanted, against)] {
                        let words = lists.iter().copied().flatten();
                        words.for_each(|word| out.add(side, (*word).to_owned()));
                    }
                }
            }
        }
        out
    }
}

/// The words at the other end of the scales that `word` lies on.
fn against(word: &str) -> Vec<&'static str> {
    let mut out = Vec::new();
    for (one, other) in SCALES {
        for (here, there) in [(one, other), (other, one)] {
            if here.contains(&word) {
                out.extend_from_slice(there);
            }
        }
    }
    out
}

/// The clause with its words' first opposites, their second ones and so on; a word with fewer keeps its last.
fn turned(clause: &str) -> Vec<String> {
    let words: Vec<(&str, Vec<&str>)> = clause
        .split(' ')
        .map(|word| (word, against(word)))
        .collect();
    let most = words
        .iter()
        .map(|(_, opposites)| opposites.len())
        .max()
        .unwrap_or(0);
    (0..most)
        .map(|n| {
            let replaced = words.iter().map(|(word, opposites)| {
                let last = opposites.len().saturating_sub(1);
                opposites.get(n.min(last)).copied().unwrap_or(word)
            });
            replaced.collect::<Vec<_>>().join(" ")
        })
        .collect()
}

/// Whether `clause` has the words of `key` one after the other. A word joined to another by a hyphen is another word.
fn names(clause: &str, key: &str) -> bool {
    format!(" {clause} ").contains(&format!(" {key} "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_in_lower_case_and_no_key_has_two_entries() {
        let keys: Vec<&str> = BRINGS.iter().flat_map(|entry| entry.0).copied().collect();
        for (place, key) in keys.iter().enumerate() {
            assert_eq!(*key, key.to_lowercase());
            assert!(!keys[..place].contains(key), "{key} has two entries");
        }
        for (one, other) in SCALES {
            assert!(
                one.iter().all(|word| !other.contains(word)),
                "{one:?} {other:?}"
            );
        }
    }
}
