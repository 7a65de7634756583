//! What a wish says without saying it: opposites ("no crowded places" wants quiet ones) and what falls under a word (a vegan
//! wants no cheese). General knowledge in short lists, for everyday English.

use super::Wishes;

/// A word with words that stand against it.
#[rustfmt::skip]
const OPPOSITES: &[(&str, &[&str])] = &[
    ("affordable", &["expensive"]), ("alcohol", &["alcohol-free"]), ("analog", &["digital"]), ("android", &["ios"]),
    ("animated", &["live-action"]), ("artificial", &["natural"]), ("automatic", &["manual"]),
    ("beach", &["mountain", "inland"]), ("beachfront", &["inland", "mountain"]), ("big", &["small"]),
    ("bold", &["neutral", "subtle"]), ("boutique", &["chain"]), ("bright", &["muted", "neutral"]),
    ("budget", &["premium", "full-service"]), ("bustling", &["tranquil", "quiet"]), ("busy", &["quiet", "calm"]),
    ("carpet", &["hardwood", "tile"]), ("carpets", &["hardwood", "tile"]), ("casual", &["formal"]),
    ("chain", &["independent", "boutique"]), ("cheap", &["premium"]), ("chemical", &["natural"]),
    ("children", &["adults-only"]), ("city", &["countryside"]), ("cloud", &["local"]), ("coastal", &["inland"]),
    ("cold", &["hot", "warm"]), ("colorful", &["neutral"]), ("colourful", &["neutral"]),
    ("competitive", &["cooperative"]), ("complicated", &["simple"]), ("connecting", &["direct", "nonstop"]),
    ("contemporary", &["traditional", "classic"]), ("conventional", &["alternative"]),
    ("corporate", &["independent"]), ("costly", &["affordable"]), ("countryside", &["city"]), ("crime", &["safe"]),
    ("crowded", &["uncrowded", "secluded", "quiet"]), ("crowds", &["solitude"]), ("dangerous", &["safe"]),
    ("dark", &["light", "bright"]), ("day", &["night"]), ("digital", &["analog", "paper"]), ("dirty", &["clean"]),
    ("disposable", &["reusable"]), ("downtown", &["suburb", "outskirts"]), ("dry", &["humid", "wet"]),
    ("early", &["late"]), ("electric", &["gasoline"]), ("expensive", &["affordable", "inexpensive"]),
    ("family-friendly", &["adults-only"]), ("fast", &["slow"]), ("fast-paced", &["slow-paced", "relaxed"]),
    ("fiction", &["documentary"]), ("flexible", &["rigid"]), ("formal", &["casual"]), ("fried", &["grilled", "baked"]),
    ("gas", &["electric"]), ("gas-powered", &["electric"]), ("gasoline", &["electric", "hybrid"]),
    ("gentle", &["intense"]), ("glossy", &["matte"]), ("group", &["solo", "individual"]), ("guided", &["self-guided"]),
    ("heat", &["cool"]), ("heavy", &["light", "minimal"]), ("hierarchical", &["flat"]), ("high", &["low"]),
    ("high-gloss", &["matte"]), ("high-impact", &["low-impact"]), ("high-rise", &["low-rise"]), ("higher", &["lower"]),
    ("historic", &["modern", "contemporary"]), ("historical", &["modern", "contemporary"]),
    ("hot", &["cold", "cool", "mild"]), ("huge", &["small"]), ("humid", &["dry"]), ("independent", &["chain", "corporate"]),
    ("indoor", &["outdoor"]), ("indoors", &["outdoors"]), ("intense", &["gentle"]), ("ios", &["android"]),
    ("large", &["small"]), ("large-scale", &["small-scale"]), ("late", &["early"]), ("layover", &["direct", "nonstop"]),
    ("layovers", &["direct", "nonstop"]), ("leather", &["fabric"]), ("lengthy", &["short"]), ("long", &["short"]),
    ("loud", &["quiet", "soft"]), ("low", &["high"]), ("low-rise", &["high-rise"]), ("luxurious", &["simple", "modest"]),
    ("luxury", &["simple", "modest"]), ("mainstream", &["independent"]), ("manual", &["automatic"]),
    ("matte", &["glossy"]), ("metal", &["wood"]), ("minimalist", &["ornate"]),
    ("modern", &["traditional", "classic", "historic"]), ("mountain", &["beach"]),
    ("natural", &["synthetic", "artificial"]), ("new", &["old"]), ("night", &["day"]), ("nightlife", &["quiet evening"]),
    ("noise", &["quiet", "tranquility"]), ("noisy", &["quiet", "peaceful"]), ("old", &["new"]),
    ("old-fashioned", &["modern"]), ("open", &["closed", "private"]), ("open-source", &["proprietary"]),
    ("organic", &["conventional"]), ("ornate", &["minimalist"]), ("outdoor", &["indoor"]), ("outdoors", &["indoors"]),
    ("peaceful", &["noisy", "busy"]), ("plastic", &["glass", "wood"]), ("polluted", &["clean"]),
    ("pollution", &["clean air"]), ("popular", &["lesser-known"]), ("pricey", &["affordable"]),
    ("private", &["shared", "public"]), ("processed", &["whole", "fresh"]), ("proprietary", &["open-source"]),
    ("public", &["private"]), ("quiet", &["noisy", "loud"]), ("rainy", &["sunny", "dry"]), ("raw", &["cooked"]),
    ("relaxed", &["hectic"]), ("remote", &["on-site", "office"]), ("reusable", &["disposable"]), ("rigid", &["flexible"]),
    ("risky", &["safe"]), ("rural", &["urban"]), ("safe", &["dangerous"]), ("scripted", &["unscripted"]),
    ("secluded", &["crowded"]), ("shared", &["private"]), ("shiny", &["matte"]), ("short", &["long"]),
    ("simple", &["complicated"]), ("single-use", &["reusable"]), ("slow", &["fast"]), ("small", &["large"]),
    ("small-scale", &["large-scale"]), ("smart", &["conventional", "manual"]), ("smoking", &["smoke-free"]),
    ("snow", &["sun"]), ("solo", &["group"]), ("spicy", &["mild", "sweet"]), ("strenuous", &["gentle", "leisurely"]),
    ("stressful", &["relaxed"]), ("structured", &["flexible"]), ("subscription", &["one-time"]),
    ("subscription-based", &["one-time"]), ("suburban", &["urban"]), ("summer", &["winter"]), ("sweet", &["savory"]),
    ("synthetic", &["natural"]), ("touchscreen", &["buttons", "keyboard"]), ("touristy", &["lesser-known"]),
    ("traditional", &["modern"]), ("tranquil", &["bustling"]), ("urban", &["rural", "suburban"]),
    ("vintage", &["modern"]), ("violence", &["gentle"]), ("violent", &["peaceful", "gentle"]),
    ("warm", &["cool", "cold"]), ("wet", &["dry"]), ("winter", &["summer"]), ("winters", &["summers"]),
    ("wired", &["wireless"]), ("wireless", &["wired"]),
];

const MEAT: &[&str] = &[
    "meat", "beef", "pork", "chicken", "lamb", "bacon", "ham", "sausage", "turkey", "duck", "steak",
];
#[rustfmt::skip]
const FISH: &[&str] = &[
    "fish", "shellfish", "shrimp", "prawns", "crab", "lobster", "squid", "octopus", "salmon", "tuna", "oysters",
    "clams", "mussels",
];
const SHELLFISH: &[&str] = &[
    "shrimp", "prawns", "crab", "lobster", "oysters", "clams", "mussels", "crawfish",
];
const DAIRY: &[&str] = &["milk", "cheese", "butter", "cream", "yogurt", "ice cream", "ghee"];
const ANIMAL: &[&str] = &["eggs", "honey", "leather", "wool", "silk"];
const GRAIN: &[&str] = &[
    "wheat", "barley", "rye", "bread", "pasta", "pastry", "flour", "noodles", "pizza", "crust", "beer",
];
#[rustfmt::skip]
const STARCH: &[&str] = &[
    "bread", "rice", "pasta", "potatoes", "sugar", "noodles", "pizza", "oats", "beans", "fruit",
];
const NUTS: &[&str] = &["almonds", "walnuts", "cashews", "pistachios", "hazelnuts", "pecans"];
const PLANTS: &[&str] = &["vegetables", "tofu", "beans", "plant-based"];
const QUIET: &[&str] = &["quiet", "peaceful", "secluded"];
const CARS: &[&str] = &["private car", "taxi", "rental car"];
const FLIGHT: &[&str] = &["flight", "plane", "airline"];
const LAND: &[&str] = &["train", "car"];
const BOATS: &[&str] = &["boat", "ferry", "cruise", "yacht", "sailing"];
const DEVICES: &[&str] = &["voice assistant", "app-controlled", "connected devices"];

/// A way of living: its word, what fits it, what breaks it (lists, joined).
type Regime = (&'static str, &'static [&'static str], &'static [&'static [&'static str]]);

#[rustfmt::skip]
const REGIMES: &[Regime] = &[
    ("vegan", PLANTS, &[MEAT, FISH, DAIRY, ANIMAL]),
    ("plant-based", PLANTS, &[MEAT, FISH, DAIRY, &["eggs"]]),
    ("vegetarian", PLANTS, &[MEAT, FISH]),
    ("pescatarian", &["fish", "vegetables"], &[MEAT]),
    ("gluten-free", &["rice", "corn"], &[GRAIN]),
    ("celiac", &["rice", "corn"], &[GRAIN]),
    ("coeliac", &["rice", "corn"], &[GRAIN]),
    ("dairy-free", PLANTS, &[DAIRY]),
    ("keto", &["meat", "cheese", "eggs", "avocado", "low-carb"], &[STARCH]),
    ("ketogenic", &["meat", "cheese", "eggs", "avocado", "low-carb"], &[STARCH]),
    ("low-carb", &["meat", "salad", "vegetables"], &[STARCH]),
    ("paleo", &["meat", "vegetables", "nuts"], &[STARCH, &["cheese"]]),
    ("halal", &[], &[&["pork", "ham", "bacon", "wine", "alcohol"]]),
    ("kosher", &[], &[&["pork", "ham", "bacon"], SHELLFISH]),
    ("low-sodium", &[], &[&["salty", "salt", "soy sauce", "cured"]]),
    ("low-sugar", &[], &[&["sugar", "candy", "cake", "syrup", "soda"]]),
    ("natural fibers", &["wool", "cotton", "linen", "silk"], &[&["polyester", "nylon"]]),
    ("natural fibres", &["wool", "cotton", "linen", "silk"], &[&["polyester", "nylon"]]),
    ("eco-friendly", &["sustainable", "green", "recycled", "solar"], &[&["wasteful", "disposable"]]),
    ("environmentally", &["sustainable", "green", "electric", "bicycle"], &[&["gasoline", "disposable"]]),
    ("sober", &["alcohol-free"], &[&["wine", "beer", "cocktails", "bar"]]),
];

/// A thing: its word, what falls under it, what serves instead.
type Kind = (&'static str, &'static [&'static str], &'static [&'static str]);

#[rustfmt::skip]
const KINDS: &[Kind] = &[
    ("meat", MEAT, &[]), ("red meat", &["beef", "pork", "lamb", "steak", "burger"], &[]),
    ("poultry", &["chicken", "turkey", "duck"], &[]), ("seafood", FISH, &[]), ("shellfish", SHELLFISH, &[]),
    ("animal products", MEAT, PLANTS), ("animal products", FISH, &[]), ("animal products", DAIRY, &[]),
    ("animal products", ANIMAL, &[]), ("dairy", DAIRY, &[]), ("lactose", DAIRY, &[]), ("gluten", GRAIN, &[]),
    ("grains", GRAIN, &[]), ("carbs", STARCH, &[]), ("carbohydrates", STARCH, &[]), ("high-carb", STARCH, &[]),
    ("nut", NUTS, &[]), ("nuts", NUTS, &[]), ("soy", &["tofu", "soy sauce", "miso", "tempeh", "edamame"], &[]),
    ("sugar", &["candy", "cake", "dessert", "syrup", "chocolate", "soda"], &[]),
    ("sodium", &["salty", "salt", "soy sauce", "cured"], &[]), ("spicy", &["hot", "chili", "fiery"], &[]),
    ("processed foods", &["frozen meals", "chips", "hot dogs", "packaged snacks"], &[]),
    ("caffeine", &["coffee", "espresso", "black tea", "energy drink", "cola"], &["herbal tea", "decaf"]),
    ("caffeinated", &["coffee", "espresso", "energy drink", "cola"], &["herbal tea", "decaf"]),
    ("alcohol", &["wine", "beer", "cocktails", "bar", "pub", "brewery", "whiskey"], &["juice", "tea"]),
    ("public transportation", &["bus", "subway", "train", "metro", "tram"], CARS),
    ("public transport", &["bus", "subway", "train", "metro", "tram"], CARS),
    ("driving", &["car", "rental car"], &["train", "bus"]), ("flying", FLIGHT, LAND), ("fly", FLIGHT, LAND),
    ("air travel", FLIGHT, LAND), ("ride-sharing", &["uber", "lyft"], &["taxi", "public transport"]),
    ("heights", &["climbing", "skydiving", "bungee jumping", "zip line", "hot air balloon", "cable car",
        "observation deck", "rooftop", "tower", "paragliding", "mountain peak", "helicopter"], &["on the ground"]),
    ("water activities", &["snorkeling", "diving", "swimming", "kayaking", "surfing", "boat", "sailing"], &["on land"]),
    ("on water", BOATS, &["on land"]), ("boats", BOATS, &["on land"]),
    ("ocean", &["beach", "boat", "snorkeling", "diving", "surfing"], &["inland"]),
    ("physical exertion", &["hike", "climb", "run", "bike", "surf"], &["relaxing", "leisurely"]),
    ("enclosed spaces", &["elevator", "cave", "tunnel", "submarine"], &["open air"]),
    ("animals", &["zoo", "aquarium", "circus", "horse riding", "safari"], &[]),
    ("museums", &["museum", "gallery", "exhibit"], &[]),
    ("supernatural", &["ghost", "vampire", "magic", "witch", "demon", "haunted"], &[]),
    ("paranormal", &["ghost", "haunted", "spirits"], &[]),
    ("violence", &["fight", "war", "killing", "blood", "gore", "battle", "murder"], &[]),
    ("crime", &["murder", "detective", "killer", "police", "gangster"], &[]),
    ("gambling", &["casino", "slot machines", "poker"], &[]),
    ("google", &["android", "chrome", "pixel", "nest", "gmail"], &[]),
    ("apple", &["iphone", "ipad", "mac", "ios", "siri"], &[]),
    ("microsoft", &["windows", "surface", "xbox", "office"], &[]), ("amazon", &["alexa", "echo", "kindle"], &[]),
    ("smart home", DEVICES, &[]), ("smart devices", DEVICES, &[]),
    ("social media", &["facebook", "instagram", "linkedin", "twitter"], &[]),
    ("high-rise", &["skyscraper", "tower", "upper floors"], &["low-rise"]),
    ("chain", &["Hilton", "Marriott", "Hyatt", "Starbucks"], &["boutique", "independent", "family-run"]),
    ("synthetic", &["polyester", "nylon", "plastic", "acrylic"], &["wool", "cotton", "linen", "wood"]),
    ("noise", &["loud", "lively", "busy"], QUIET), ("crowds", &["popular", "busy", "packed"], QUIET),
    ("crowded", &["popular", "busy", "packed"], QUIET),
    ("flowers", &["floral", "garden", "bouquet", "blossom"], &[]),
    ("pollen", &["garden", "meadow", "flowers", "park"], &["indoor"]),
];

impl Wishes {
    /// The clauses with every word that has an opposite replaced by it, on the other side. Empty where none has one.
    #[must_use]
    pub fn opposites(&self) -> Self {
        let mut out = Self::default();
        for (wanted, clauses) in [(true, &self.unwanted), (false, &self.wanted)] {
            for opposite in clauses.iter().flat_map(|c| opposites(c)) {
                out.add(wanted, opposite);
            }
        }
        out
    }

    /// What the words of the clauses bring with them: what fits and what breaks a way of living, what falls under a thing
    /// and what serves instead. Empty where no word is known.
    #[must_use]
    pub fn implied(&self) -> Self {
        let mut out = Self::default();
        let said = |wanted: bool| {
            let clauses = if wanted { &self.wanted } else { &self.unwanted };
            clauses.iter().map(move |clause| (wanted, clause))
        };
        for (wanted, clause) in said(true).chain(said(false)) {
            for (_, fits, breaks) in REGIMES.iter().filter(|r| names(clause, r.0)) {
                fits.iter().for_each(|word| out.add(wanted, (*word).into()));
                if wanted {
                    let breaks = breaks.iter().copied().flatten();
                    breaks.for_each(|word| out.add(false, (*word).into()));
                }
            }
            for (_, members, instead) in KINDS.iter().filter(|k| names(clause, k.0)) {
                members.iter().for_each(|word| out.add(wanted, (*word).into()));
                if !wanted {
                    instead.iter().for_each(|word| out.add(true, (*word).into()));
                }
            }
        }
        out
    }
}

/// The clause with its words' first opposites, their second ones and so on; a word with fewer keeps its last.
fn opposites(clause: &str) -> Vec<String> {
    let words: Vec<(&str, &[&str])> = clause
        .split(' ')
        .map(|word| {
            let entry = OPPOSITES.iter().find(|(of, _)| *of == word);
            (word, entry.map_or(&[][..], |(_, opposites)| opposites))
        })
        .collect();
    let most = words.iter().map(|(_, o)| o.len()).max().unwrap_or(0);
    (0..most)
        .map(|n| {
            let replaced = words.iter().map(|(word, o)| {
                o.get(n.min(o.len().saturating_sub(1))).unwrap_or(word)
            });
            replaced.copied().collect::<Vec<_>>().join(" ")
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
    fn lists_are_in_normal_form_and_no_word_has_two_entries() {
        for pair in OPPOSITES.windows(2) {
            assert!(pair[0].0 < pair[1].0, "{} is out of order", pair[1].0);
        }
        for (word, opposites) in OPPOSITES {
            assert_eq!(*word, word.to_lowercase());
            assert!(!opposites.is_empty() && !opposites.contains(word), "{word}");
        }
        for key in REGIMES.iter().map(|r| r.0).chain(KINDS.iter().map(|k| k.0)) {
            assert_eq!(key, key.to_lowercase());
        }
    }
}
