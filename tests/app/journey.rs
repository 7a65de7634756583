//! The real window: the whole journey of a person, by mouse and keyboard, with the default model.

use std::{fs, path::Path};

use fantoccini::Locator;

use crate::{
    desk::{APP, Desk},
    page::Page,
    strace::{Allowed, breaches},
};

/// Letters of somebody who exists only here.
pub const LETTERS: [&str; 4] = [
    "Dear Tom, the bicycle arrived on Tuesday, and I have ridden it twice already. The saddle is a little hard, \
     to be honest, but the gears are lovely. I think I shall take it to the lake on Sunday, weather permitting. \
     You asked whether I regret selling the old one. I do not, though I did feel a small pang when the van drove \
     off. Come and see it soon. There is tea, there is cake, and there is always somebody to argue with.",
    "Thank you for the marmalade. It is, to be honest, the best I have had since my aunt stopped making hers, and \
     I have told everyone so. The jar is half empty already. I think the secret is the ginger, though my \
     neighbour insists that it must be the sugar. We shall never agree. Do write down the recipe for me, if you \
     can bear to give it away; I promise to keep it to myself, or at least to try.",
    "I walked to the harbour this morning, before the shops opened. The boats were all in, and the gulls were \
     making a terrible noise about it. There is a new café by the bridge, rather small, with four tables and a \
     cat. I sat there for an hour and read the paper twice. To be honest, I did not want to go home. I think \
     that is what a holiday should feel like, though I was only ten minutes from my own kitchen.",
    "Dear Miriam, you were right about the play. The first half was slow, and I confess that I looked at my \
     watch, but the ending was lovely, and I walked home quite happy. I think the young man who played the \
     doctor will be famous one day. We should go again in the spring. Shall I book? There is a matinée on \
     Saturdays, which suits me, and afterwards there is, to be honest, always time for cake.",
];

/// Tests that train take turns: each alone keeps every core busy.
pub static HEAVY: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[tokio::test]
async fn the_window_opens_and_its_page_loads_without_a_complaint() {
    let desk = Desk::new();
    let (program, log) = desk.traced();
    let page = Page::of(desk.open(&program).await).await;
    let address = page.client.current_url().await.expect("an address");
    assert_eq!(
        address.scheme(),
        "tauri",
        "the page comes from inside the app: {address}"
    );
    assert_eq!(
        page.run("return typeof window.__TAURI__").await,
        "undefined",
        "nothing global"
    );
    let title = page.client.title().await.expect("a title");
    assert_eq!(title, "Idiolect");
    for number in 1..=6 {
        page.view(number).await;
        page.find(&format!(
            "//nav//button[@aria-keyshortcuts='Control+{number}'][@aria-current='page']"
        ))
        .await;
    }
    assert_eq!(
        page.wrongs().await,
        [""; 0],
        "no error, no broken promise, no breach of the policy"
    );
    page.client.close().await.expect("the window closes");
    only_the_driver_was_talked_to(&log);
}

#[tokio::test]
async fn the_page_cannot_leave_the_app_or_reach_anything_outside() {
    let desk = Desk::new();
    let page = Page::of(desk.open(Path::new(APP)).await).await;
    let outside = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    outside.set_nonblocking(true).expect("a setting");
    let port = outside.local_addr().expect("bound").port();
    let tried = page
        .client
        .execute_async(
            &format!(
                "const done = arguments[arguments.length - 1];
                 const image = new Image(); image.src = 'http://127.0.0.1:{port}/image';
                 window.open('http://127.0.0.1:{port}/opened');
                 const script = document.createElement('script'); script.src = 'http://127.0.0.1:{port}/script'; document.head.append(script);
                 const inline = document.createElement('script'); inline.textContent = 'window.__inline = true'; document.head.append(inline);
                 fetch('http://127.0.0.1:{port}/fetch').then(() => 'fetched', () => 'refused').then((answer) => {{
                   location.href = 'http://127.0.0.1:{port}/gone';
                   setTimeout(() => done([answer, window.__inline ?? null]), 300);
                 }});"
            ),
            Vec::new(),
        )
        .await
        .expect("the page answers: it is still there");
    assert_eq!(
        tried,
        serde_json::json!(["refused", null]),
        "no fetch, no inline script"
    );
    let address = page.client.current_url().await.expect("an address");
    assert_eq!(
        address.scheme(),
        "tauri",
        "the window stayed on its own page: {address}"
    );
    assert!(outside.accept().is_err(), "nothing called outside");
    page.client.close().await.expect("the window closes");
}

fn only_the_driver_was_talked_to(log: &Path) {
    let trace = fs::read_to_string(log).expect("strace wrote its record");
    assert!(
        trace.contains("socket("),
        "the record holds network calls at all (the display's, for one)"
    );
    assert_eq!(
        breaches(&trace, Allowed::Driver),
        [""; 0],
        "nothing but the driver was talked to"
    );
}

/// Begins a profile and pastes all the letters into it.
async fn paste_letters(page: &Page) {
    page.press("No profile yet").await;
    page.press("New profile…").await;
    // Enter creates it: no mouse is needed.
    page.fill("Name", "My letters\u{e007}").await;
    page.find("//nav//button[contains(., 'My letters')]").await;
    for (number, letter) in LETTERS.iter().enumerate() {
        page.fill("Paste something you wrote", letter).await;
        page.press("Add this text").await;
        page.find(&format!(
            "//ul[@aria-label='Samples'][count(li)={}]",
            number + 1
        ))
        .await;
    }
}

/// Trains for so many times through the letters; returns once the first steps are drawn.
async fn start_training(page: &Page, epochs: u32) {
    page.view(4).await;
    // What is known about the texts moves everything below it when it comes.
    page.sees("each time through").await;
    page.find("//summary[contains(., 'More settings')]")
        .await
        .click()
        .await
        .expect("it unfolds");
    page.fill("Times through your texts", &format!("{epochs}\t"))
        .await;
    // A training that must not end by itself while the test is at work.
    if epochs > 10 {
        page.find("//label[contains(., 'Stop when it no longer helps')]/input")
            .await
            .click()
            .await
            .expect("it is unticked");
    }
    page.press("Train").await;
    page.sees("tokens per second").await;
}

/// Votes teach the next voice, which is tested blindly against the last one, and whose votes teach the one after it.
async fn the_next_round(page: &Page) {
    page.choose("Learn from", "dpo").await;
    // Votes of blind tests are left out until they are asked for.
    page.sees("1 vote, 0 corrected drafts").await;
    page.find("//label[contains(., 'Votes of blind tests')]/input")
        .await
        .click()
        .await
        .expect("it is ticked");
    page.sees("1 vote, 1 of blind tests").await;
    page.find("//summary[contains(., 'More settings')]")
        .await
        .click()
        .await
        .expect("it unfolds");
    page.fill("Times through your texts", "1\t").await;
    page.fill("Size of the change", "2\t").await;
    page.choose("Weights that it changes", "q,v").await;
    page.fill("Name of the voice", "Second").await;
    page.press("Train anyway").await;
    page.sees("“Second”: trained").await;
    page.choose_words("Compare “Second” with", "against “My letters 1”")
        .await;
    page.press("Test it blind").await;
    page.sees("Which would you rather").await;
    page.key("1").await;
    page.sees("your pick").await;
    page.press("Next pair").await;
    page.sees("Which would you rather").await;
    page.key("2").await;
    page.sees("your pick").await;
    page.press("See the result").await;
    page.sees("“Second” wins").await;
    page.press("Done").await;
    // The next round has these votes to learn from, too.
    page.sees("1 vote, 3 of blind tests").await;
    page.press("Train anyway").await;
    page.sees("“My letters 3”: trained").await;
}

/// Two voices become one between them, which goes out as a file for other programs and comes in again.
async fn mixed_exported_and_brought_back(page: &Page, desk: &Desk) {
    page.press("Mix…: Second").await;
    page.fill("How much of it", "\u{e012}").await;
    page.press_in("dialog", "Mix").await;
    page.sees("is mixed").await;
    page.press("Export…: Second and").await;
    page.press_in("dialog", "Choose where…").await;
    let folder = desk.folder.path().join("Second for others");
    desk.answer_dialog("Save", &folder);
    page.sees("Written:").await;
    page.look("voices").await;
    let file = fs::read_dir(&folder)
        .expect("what was written")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|end| end == "gguf"))
        .expect("a GGUF file among it");
    page.press("Bring in a voice…").await;
    desk.answer_dialog("Choose files", &file);
    page.sees("is here").await;
    page.find("//h3[.='Second for others']").await;
}

#[tokio::test]
async fn a_person_goes_from_pasting_to_a_blind_retest_and_finds_it_all_again() {
    let _turn = HEAVY.lock().await;
    let desk = Desk::new();
    let (program, log) = desk.traced();
    let page = Page::of(desk.open(&program).await).await;
    page.look("first-day").await;

    paste_letters(&page).await;
    page.look("samples").await;

    // Counted habits need no model; then the model reads the dimensions.
    page.view(2).await;
    page.sees("Portrait").await;
    page.press("Read my samples").await;
    page.find("//button[not(@disabled)][contains(., 'Read my samples again')]")
        .await;
    page.fill("Search the dimensions", "play").await;
    let slider = page.find("//input[@type='range']").await;
    slider.send_keys("\u{e013}").await.expect("arrow up");
    page.sees("You set this").await;
    page.fill("Search the dimensions", " ").await;
    page.look("profile").await;

    // Drafts side by side, the exact prompt, then one blind vote by key.
    page.view(3).await;
    page.fill("Brief", "Tell Tom that I cannot come on Saturday")
        .await;
    page.fill("About", "40").await;
    page.press("Write 3 drafts").await;
    page.find("//*[@aria-label='Drafts side by side'][count(.//dt[.='Speed'])=3]")
        .await;
    page.look("compare").await;
    page.press("Show the exact prompt").await;
    page.sees("Nothing else is sent to the model").await;
    page.press("Close").await;
    page.press("Blind").await;
    page.press("Write two drafts").await;
    page.sees("Which would you rather").await;
    page.key("1").await;
    page.sees("your pick").await;
    page.sees("Not enough votes to tell yet").await;
    page.look("blind-vote").await;

    // A voice of one's own, and a blind test of it.
    start_training(&page, 3).await;
    page.look("training").await;
    // Measured by itself, beside somebody else's voice.
    page.sees("With another author’s voice").await;
    page.look("measured").await;
    page.choose("Pairs in a blind test of “My letters 1”", "2")
        .await;
    page.press("Test it blind").await;
    page.sees("Which would you rather").await;
    page.key("2").await;
    page.sees("your pick").await;
    page.press("Next pair").await;
    page.press("Leave; the rest waits").await;
    page.sees("Your trained voices").await;
    page.look("align").await;
    the_next_round(&page).await;
    mixed_exported_and_brought_back(&page, &desk).await;
    for (number, name) in [(5, "models"), (6, "settings")] {
        page.view(number).await;
        page.look(name).await;
    }

    assert_eq!(
        page.wrongs().await,
        [""; 0],
        "no error, no broken promise, no breach of the policy"
    );
    page.client.close().await.expect("the window closes");
    only_the_driver_was_talked_to(&log);

    // Opened again, it is all there.
    let page = Page::of(desk.open(Path::new(APP)).await).await;
    page.find("//nav//button[contains(., 'My letters')]").await;
    page.find(&format!(
        "//ul[@aria-label='Samples'][count(li)={}]",
        LETTERS.len()
    ))
    .await;
    page.view(2).await;
    page.sees("Read my samples again").await;
    page.sees("You set this").await;
    page.view(3).await;
    page.sees("Votes so far").await;
    page.view(4).await;
    page.sees("Your trained voices").await;
    page.press("Test blind: My letters 1").await;
    page.sees("Pair 2 of").await;
    page.client.close().await.expect("the window closes");
}

#[tokio::test]
async fn a_window_killed_while_training_opens_again_and_says_what_was_cut_short() {
    let _turn = HEAVY.lock().await;
    let desk = Desk::new();
    let page = Page::of(desk.open(Path::new(APP)).await).await;
    paste_letters(&page).await;
    start_training(&page, 20).await;
    // Paused, so that however fast the machine is, there is a training left to kill.
    page.press("Pause").await;
    page.find("//h2[.='Paused']").await;
    // A page that is loaded again finds the training it has lost sight of.
    page.client.refresh().await.expect("the page loads again");
    let page = Page::of(page.client).await;
    page.view(4).await;
    page.find("//h2[.='Paused']").await;
    page.find("//button[not(@disabled)][.='Stop and keep the best']")
        .await;
    desk.kill_app();
    let again = desk.beside();
    drop(page);
    drop(desk);

    let page = Page::of(again.open(Path::new(APP)).await).await;
    page.sees("was cut short").await;
    page.press("Understood").await;
    page.find(&format!(
        "//ul[@aria-label='Samples'][count(li)={}]",
        LETTERS.len()
    ))
    .await;
    let notice = page
        .client
        .find_all(Locator::XPath("//*[@role='alert']"))
        .await
        .expect("an answer");
    assert!(notice.is_empty(), "nothing else is amiss");
    page.client.close().await.expect("the window closes");
}
