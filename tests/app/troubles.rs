//! The real window in trouble: input that is none, a home of a newer version, another window on the same home. Each is
//! said in words, and nothing is lost.

use std::{fs, path::Path, process::Command};

use fantoccini::Locator;

use crate::{
    desk::{APP, Desk, environment},
    journey::LETTERS,
    page::Page,
    strace::idiolect,
};

/// Where SQLite keeps the version of a database, in the file's own header.
const VERSION: std::ops::Range<usize> = 60..64;

async fn adds(page: &Page, text: &str) {
    page.fill("Paste something you wrote", text).await;
    page.press("Add this text").await;
}

async fn has_samples(page: &Page, count: usize) {
    page.find(&format!("//ul[@aria-label='Samples'][count(li)={count}]"))
        .await;
}

#[tokio::test]
async fn what_cannot_be_a_sample_is_refused_in_words_and_stays_where_it_was_typed() {
    let desk = Desk::new();
    let page = Page::of(desk.open(Path::new(APP)).await).await;
    page.fill("Paste something you wrote", "   ").await;
    page.find("//button[@disabled][contains(., 'Add this text')]")
        .await;
    adds(&page, LETTERS[0]).await;
    has_samples(&page, 1).await;
    for (refused, why) in [("- - -", "no words"), (LETTERS[0], "already among")] {
        adds(&page, refused).await;
        page.find(&format!("//*[@role='alert'][contains(., '{why}')]"))
            .await;
        let area = page.field("Paste something you wrote").await;
        let kept = area.prop("value").await.expect("an answer");
        assert_eq!(kept.as_deref(), Some(refused), "nothing typed is lost");
        has_samples(&page, 1).await;
    }
    adds(&page, LETTERS[1]).await;
    has_samples(&page, 2).await;
    let alerts = page
        .client
        .find_all(Locator::XPath("//*[@role='alert']"))
        .await
        .expect("an answer");
    assert!(alerts.is_empty(), "what went well takes the message away");
    page.client.close().await.expect("the window closes");
}

#[tokio::test]
async fn a_home_of_a_newer_version_is_refused_unaltered_and_can_be_tried_again() {
    let desk = Desk::new();
    let mut made = Command::new(idiolect());
    made.args(["profile", "new", "Ada"]);
    for (key, value) in environment(desk.folder.path()) {
        made.env(key, value);
    }
    assert!(
        made.output().is_ok_and(|output| output.status.success()),
        "a home is made"
    );
    let database = database(&desk.home());
    let before = fs::read(&database).expect("readable");
    let mut newer = before.clone();
    newer[VERSION].copy_from_slice(&9999_u32.to_be_bytes());
    fs::write(&database, &newer).expect("written");

    let page = Page::closed(desk.open(Path::new(APP)).await).await;
    page.sees("The studio could not be opened").await;
    page.find("//*[@role='alert'][contains(., 'newer')]").await;
    page.look("newer-home").await;
    page.press("Try again").await;
    page.sees("The studio could not be opened").await;
    assert!(
        fs::read(&database).expect("readable") == newer,
        "a database that cannot be read is not written either"
    );
    fs::write(&database, &before).expect("put back");
    page.press("Try again").await;
    page.find("//nav//button[contains(., 'Ada')]").await;
    page.client.close().await.expect("the window closes");
}

/// The one database in a home.
fn database(home: &Path) -> std::path::PathBuf {
    let magic = b"SQLite format 3\0";
    fs::read_dir(home)
        .expect("the home is there")
        .map(|entry| entry.expect("readable").path())
        .find(|path| path.is_file() && fs::read(path).is_ok_and(|bytes| bytes.starts_with(magic)))
        .expect("a database in it")
}

#[tokio::test]
async fn what_one_window_stores_shows_up_in_another_on_the_same_home() {
    let desk = Desk::new();
    let beside = desk.beside();
    let first = Page::of(desk.open(Path::new(APP)).await).await;
    adds(&first, LETTERS[0]).await;
    has_samples(&first, 1).await;
    let second = Page::of(beside.open(Path::new(APP)).await).await;
    has_samples(&second, 1).await;
    first
        .fill("Paste something you wrote", "Typed here, not added yet.")
        .await;
    adds(&second, LETTERS[1]).await;
    has_samples(&first, 2).await;
    let area = first.field("Paste something you wrote").await;
    assert_eq!(
        area.prop("value").await.expect("an answer").as_deref(),
        Some("Typed here, not added yet."),
        "what is being typed stays"
    );
    first.press("Add this text").await;
    has_samples(&first, 3).await;
    has_samples(&second, 3).await;
    for page in [first, second] {
        assert_eq!(
            page.wrongs().await,
            [""; 0],
            "the page complains of nothing"
        );
        page.client.close().await.expect("the window closes");
    }
}
