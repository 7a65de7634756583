use super::*;

fn read(statement: &str) -> (Vec<String>, Vec<String>) {
    let Wishes { wanted, unwanted } = Wishes::read(statement);
    (wanted, unwanted)
}

/// Statement, wanted clauses, unwanted clauses.
type Case = (
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
);

fn check(cases: &[Case]) {
    for (statement, wanted, unwanted) in cases {
        let found = read(statement);
        assert_eq!(found.0, *wanted, "wanted in “{statement}”");
        assert_eq!(found.1, *unwanted, "unwanted in “{statement}”");
    }
}

#[test]
fn likes_and_dislikes_are_told_apart() {
    check(&[
        ("I love sourdough.", &["sourdough"], &[]),
        ("I dislike karaoke.", &[], &["karaoke"]),
        (
            "I dislike crowded places and would rather stay somewhere quiet.",
            &["stay somewhere quiet"],
            &["crowded places"],
        ),
        ("I'm not a fan of puns.", &[], &["puns"]),
        ("I don't really like jazz.", &[], &["jazz"]),
        ("I have no interest in cricket.", &[], &["cricket"]),
        ("I can't stand lukewarm soup.", &[], &["lukewarm soup"]),
        ("Mountain huts", &["mountain huts"], &[]),
    ]);
}

#[test]
fn a_second_turn_takes_the_first_back() {
    check(&[
        ("I prefer to avoid ferries.", &[], &["ferries"]),
        ("I prefer not to sail.", &[], &["sail"]),
        ("I refuse to skip breakfast.", &["breakfast"], &[]),
        ("I don't dislike rain.", &["rain"], &[]),
        (
            "I avoid cafes that don't serve oat milk.",
            &["serve oat milk"],
            &["cafes"],
        ),
        (
            "I dislike trains without windows.",
            &["windows"],
            &["trains"],
        ),
        ("I hate lamps that lack a switch.", &["switch"], &["lamps"]),
    ]);
}

#[test]
fn what_is_chosen_over_something_else_is_wanted_and_the_other_is_not() {
    check(&[
        ("I prefer tea over coffee.", &["tea"], &["coffee"]),
        (
            "I prefer rowing rather than running.",
            &["rowing"],
            &["running"],
        ),
        (
            "I would choose linen instead of velvet.",
            &["linen"],
            &["velvet"],
        ),
        (
            "I avoid driving over bridges.",
            &[],
            &["driving over bridges"],
        ),
    ]);
}

#[test]
fn bodies_and_fears_say_what_is_not_borne() {
    check(&[
        ("I have a severe walnut allergy.", &[], &["walnut"]),
        ("I am allergic to cats.", &[], &["cats"]),
        ("I have an allergy to latex.", &[], &["latex"]),
        ("I have a fear of spiders.", &[], &["spiders"]),
        (
            "I am fructose intolerant, so I avoid apples.",
            &[],
            &["fructose", "apples"],
        ),
    ]);
}

#[test]
fn verbs_need_no_liking_to_say_no() {
    check(&[
        ("I don't eat liver.", &[], &["eat liver"]),
        ("I never fly.", &[], &["fly"]),
        (
            "I follow a paleo diet and don't eat oats.",
            &["paleo diet"],
            &["eat oats"],
        ),
        (
            "I have a fear of dogs, so I absolutely cannot visit farms.",
            &[],
            &["dogs", "visit farms"],
        ),
    ]);
}

#[test]
fn a_verdict_turns_what_it_is_said_of() {
    check(&[
        (
            "I find open kitchens distracting.",
            &[],
            &["open kitchens distracting"],
        ),
        ("I find pottery calming.", &["pottery calming"], &[]),
        (
            "I avoid lifts because they make me dizzy.",
            &[],
            &["lifts", "dizzy"],
        ),
    ]);
}

#[test]
fn what_is_said_of_a_thing_is_not_said_by_the_speaker() {
    check(&[
        (
            "I dislike clubs that require a tie.",
            &[],
            &["clubs that require a tie"],
        ),
        (
            "I dislike shops that are loud and prefer markets.",
            &["markets"],
            &["shops that are loud"],
        ),
        ("I like inns that avoid plastic.", &["inns"], &["plastic"]),
        ("I like films like that one.", &["films"], &[]),
    ]);
}

#[test]
fn lists_are_kept_whole_and_thing_by_thing() {
    check(&[
        (
            "I avoid beans and lentils.",
            &[],
            &["beans and lentils", "beans", "lentils"],
        ),
        (
            "I hate herbs such as dill, parsley or mint.",
            &[],
            &[
                "herbs and dill",
                "herbs",
                "dill",
                "parsley and mint",
                "parsley",
                "mint",
            ],
        ),
        (
            "I like boats with no more than two masts.",
            &["boats with no more than two masts"],
            &[],
        ),
    ]);
}

#[test]
fn in_a_description_only_what_is_said_to_be_wanted_counts() {
    let text = "I teach physics in Leeds and moved into a flat last year. I'm into chess and rowing, but I can't stand \
                small talk. I have no car. I find open kitchens distracting.";
    let said = Wishes::said_in(text);
    let found: Vec<(&str, Vec<String>, Vec<String>)> = said
        .into_iter()
        .map(|(at, w)| (at.quote(text), w.wanted, w.unwanted))
        .collect();
    let clauses = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        found,
        [
            (
                "I'm into chess and rowing, but I can't stand small talk.",
                clauses(&["chess and rowing"]),
                clauses(&["small talk"]),
            ),
            (
                "I find open kitchens distracting.",
                clauses(&[]),
                clauses(&["open kitchens distracting"]),
            ),
        ]
    );
    assert!(Wishes::said_in("").is_empty());
}

#[test]
fn anything_can_be_read() {
    for odd in [
        "",
        "…",
        "not",
        "no no no",
        "I prefer",
        "don't",
        "—like—",
        "rather than",
        "über-laut, nie!",
    ] {
        let wishes = Wishes::read(odd);
        assert!(
            wishes
                .wanted
                .iter()
                .chain(&wishes.unwanted)
                .all(|c| !c.is_empty()),
            "{odd}: {wishes:?}"
        );
    }
}

/// Words of an offer that are denied.
fn denied(text: &str) -> Vec<&str> {
    let words = offer_words(text).into_iter();
    words
        .filter(|w| w.sign < 0 && w.content)
        .map(|w| w.span.quote(text))
        .collect()
}

#[test]
fn what_an_offer_denies_is_known_and_advertising_is_not_denial() {
    assert_eq!(
        denied("A bright room, no carpets, with plants"),
        ["carpets"]
    );
    assert_eq!(denied("A nut-free cake with raisins"), ["nut"]);
    assert_eq!(denied("Non-smoking cabin"), ["smoking"]);
    assert_eq!(denied("Don't miss the pier"), Vec::<&str>::new());
    assert_eq!(denied("Not only cheap but sunny"), Vec::<&str>::new());
    let clause = "sugar-free jam";
    let signs: Vec<i8> = clause_words(clause).iter().map(|w| w.sign).collect();
    assert_eq!(signs, [-1, 1, 1], "sugar is denied, free and jam are not");
}

#[test]
fn opposites_change_sides_and_words_bring_others_with_them() {
    let loud = Wishes::read("I avoid loud bars.");
    assert_eq!(
        loud.opposites().wanted,
        ["quiet bars", "silent bars", "peaceful bars"]
    );
    assert!(loud.opposites().unwanted.is_empty());
    let vegan = Wishes::read("I follow a vegan diet.").implied();
    assert!(vegan.wanted.contains(&"tofu".to_owned()), "{vegan:?}");
    assert!(vegan.unwanted.contains(&"cheese".to_owned()), "{vegan:?}");
    let land = Wishes::read("I dislike flying.").implied();
    assert!(land.wanted.contains(&"train".to_owned()), "{land:?}");
    assert!(land.unwanted.contains(&"plane".to_owned()), "{land:?}");
    let unknown = Wishes::read("I love pottery.");
    assert!(unknown.implied().is_empty() && unknown.opposites().is_empty());
}
