//! The window's page as a person sees it: by roles, labels and words, never by the shape of its markup.

use std::{fs, path::Path, time::Duration};

use fantoccini::{Client, Locator, elements::Element, error::CmdError};
use serde_json::Value;

/// Long enough for a small model on a slow machine; nothing asserts on it but giving up.
const PATIENCE: Duration = Duration::from_secs(120);

/// Keeps what goes wrong in the page, from the first moment that a script of ours can run.
const LISTEN: &str = r#"
if (!window.__wrong) {
  window.__wrong = [];
  addEventListener("error", (e) => window.__wrong.push("error: " + (e.message || e.target?.src || e.type)), true);
  addEventListener("unhandledrejection", (e) => window.__wrong.push("rejected: " + (e.reason?.message ?? JSON.stringify(e.reason))));
  addEventListener("securitypolicyviolation", (e) => window.__wrong.push("policy: " + e.violatedDirective + " " + e.blockedURI));
  const error = console.error;
  console.error = (...all) => { window.__wrong.push("console: " + all.map(String).join(" ")); error(...all); };
}"#;

/// An open window.
pub struct Page {
    pub client: Client,
}

impl Page {
    /// Takes over an open window once its page is drawn.
    pub async fn of(client: Client) -> Self {
        let page = Self::closed(client).await;
        page.find("//main//h1[.='Samples']").await;
        page
    }

    /// Takes over an open window whose studio may not be.
    pub async fn closed(client: Client) -> Self {
        let page = Self { client };
        page.run(LISTEN).await;
        page
    }

    /// Runs a script in the page.
    pub async fn run(&self, script: &str) -> Value {
        self.client
            .execute(script, Vec::new())
            .await
            .unwrap_or_else(|e| panic!("{script}: {e}"))
    }

    /// Waits until an element is there.
    pub async fn find(&self, xpath: &str) -> Element {
        let wait = self
            .client
            .wait()
            .at_most(PATIENCE)
            .every(Duration::from_millis(100));
        match wait.for_element(Locator::XPath(xpath)).await {
            Ok(element) => element,
            Err(error) => panic!(
                "no {xpath} ({error}); the window says:\n{}",
                self.words().await
            ),
        }
    }

    /// All words in the window.
    pub async fn words(&self) -> String {
        let words = self.run("return document.body.innerText").await;
        words.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the window says something.
    pub async fn sees(&self, words: &str) {
        self.find(&format!(
            "//body[contains(normalize-space(.), {})]",
            quoted(words)
        ))
        .await;
    }

    /// Presses the button whose name begins with `name`.
    pub async fn press(&self, name: &str) {
        self.press_in("*", name).await;
    }

    /// The same for a button inside an element of that kind.
    pub async fn press_in(&self, within: &str, name: &str) {
        let name = quoted(name);
        let button = format!(
            "//{within}//button[not(@disabled)][starts-with(normalize-space(.), {name}) or @aria-label={name}]"
        );
        // As with fields: what the driver refused was not pressed, so trying again presses once.
        patiently(async || self.find(&button).await.click().await)
            .await
            .unwrap_or_else(|e| panic!("the button {name} cannot be pressed: {e:?}"));
    }

    /// The field that a label names.
    pub async fn field(&self, label: &str) -> Element {
        let label = quoted(label);
        self.find(&format!(
            "//*[self::input or self::textarea or self::select][@aria-label={label} \
             or @id=//label[starts-with(normalize-space(.), {label})]/@for \
             or ancestor::label[starts-with(normalize-space(.), {label})]]"
        ))
        .await
    }

    /// Types into the field that a label names, in place of what was there.
    pub async fn fill(&self, label: &str, text: &str) {
        // A view that is just being drawn anew may put another element in its place between two commands.
        patiently(async || self.field(label).await.clear().await)
            .await
            .unwrap_or_else(|e| panic!("{label} cannot be emptied: {e:?}"));
        self.field(label)
            .await
            .send_keys(text)
            .await
            .unwrap_or_else(|e| panic!("{label} cannot be typed into: {e:?}"));
    }

    /// Picks a value of the list that a label names.
    pub async fn choose(&self, label: &str, value: &str) {
        patiently(async || self.field(label).await.select_by_value(value).await)
            .await
            .unwrap_or_else(|e| panic!("{label} cannot be set to {value}: {e:?}"));
    }

    /// Picks from the list that a label names by the words that it shows.
    pub async fn choose_words(&self, label: &str, words: &str) {
        patiently(async || self.field(label).await.select_by_label(words).await)
            .await
            .unwrap_or_else(|e| panic!("{label} cannot be set to {words}: {e:?}"));
    }

    /// Goes to a view with its key: Ctrl and a number from 1.
    pub async fn view(&self, number: u32) {
        let body = self.find("//body").await;
        // WebDriver's codes for Control and for letting go of it.
        let keys = format!("\u{e009}{number}\u{e000}");
        body.send_keys(&keys)
            .await
            .unwrap_or_else(|e| panic!("Ctrl+{number}: {e}"));
    }

    /// Presses a key that no field has the focus for.
    pub async fn key(&self, key: &str) {
        self.run("document.activeElement?.blur()").await;
        let body = self.find("//body").await;
        body.send_keys(key)
            .await
            .unwrap_or_else(|e| panic!("the key {key}: {e}"));
    }

    /// What went wrong in the page so far.
    pub async fn wrongs(&self) -> Vec<String> {
        serde_json::from_value(self.run("return window.__wrong").await).unwrap_or_default()
    }

    /// Looks at what the window shows, in light and in dark: axe finds nothing, nothing sticks out at the side, and
    /// a picture is saved when the environment asks for it. The window keeps its size: WebKit's driver never answers
    /// a resize where no window manager runs.
    pub async fn look(&self, name: &str) {
        self.stand_still().await;
        for theme in ["light", "dark"] {
            self.run(&format!(
                "document.documentElement.dataset.theme = '{theme}'"
            ))
            .await;
            tokio::time::sleep(Duration::from_millis(100)).await;
            if std::env::var_os("IDIOLECT_SCREENSHOTS").is_some() {
                self.picture(&format!("{name}-{theme}.png")).await;
            }
            assert_eq!(
                self.axe().await,
                [""; 0],
                "axe finds nothing in {name}, {theme}"
            );
        }
        self.run("document.documentElement.dataset.theme = 'system'")
            .await;
        let sideways = self
            .run("const m = document.querySelector('main'); return m.scrollWidth - m.clientWidth")
            .await;
        assert_eq!(sideways, 0, "{name} is no wider than the window");
    }

    /// Colours that change at once: on a busy machine a change that takes a moment may not even have begun when it is
    /// looked at.
    async fn stand_still(&self) {
        self.run(
            "if (!window.__still) {
               window.__still = new CSSStyleSheet();
               window.__still.replaceSync('*, *::before, *::after { transition: none !important; }');
               document.adoptedStyleSheets = [...document.adoptedStyleSheets, window.__still];
             }",
        )
        .await;
    }

    async fn picture(&self, file: &str) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/screenshots");
        fs::create_dir_all(&folder).expect("docs/screenshots can be made");
        // Where this machine keeps things is nobody's business.
        self.run("for (const path of document.querySelectorAll('dd code')) path.textContent = path.textContent.replace(/^.*\\//, '~/.local/share/')")
            .await;
        let picture = self.client.screenshot().await.expect("a picture");
        fs::write(folder.join(file), picture).expect("saved");
    }

    /// What axe finds wrong in the page as it stands, each in words.
    async fn axe(&self) -> Vec<String> {
        if self.run("return typeof window.axe").await == "undefined" {
            let path =
                Path::new(env!("CARGO_MANIFEST_DIR")).join("ui/node_modules/axe-core/axe.min.js");
            let source = fs::read_to_string(&path)
                .unwrap_or_else(|e| panic!("{}: {e}; run `npm ci` in ui/", path.display()));
            self.run(&source).await;
        }
        let found = self
            .client
            .execute_async(
                "const done = arguments[arguments.length - 1];
                 const words = (v) => `${v.id}: ${v.nodes.slice(0, 4).map((n) => n.target.join(' ')).join(' | ')}`;
                 window.axe.run(document, { resultTypes: ['violations'] })
                   .then((found) => done(found.violations.map(words)), (error) => done([`axe failed: ${error}`]));",
                Vec::new(),
            )
            .await
            .expect("axe answers");
        serde_json::from_value(found).expect("a list of words")
    }
}

/// Words as an XPath string. No test here needs both kinds of quotation marks.
fn quoted(words: &str) -> String {
    if words.contains('\'') {
        format!("\"{words}\"")
    } else {
        format!("'{words}'")
    }
}

/// Tries again for two seconds while the driver refuses.
async fn patiently(attempt: impl AsyncFn() -> Result<(), CmdError>) -> Result<(), CmdError> {
    for _ in 0..20 {
        if attempt().await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    attempt().await
}
