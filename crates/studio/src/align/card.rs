//! What travels with an exported voice: the base model's licence, and a card.

use idiolect_core::{UserError, adapter::Adapter};
use idiolect_engine::Exported;

use crate::{api::ExportForm, context::Ctx};

/// The text of the licence that this program and its default models are under; it asks to go along with copies.
const APACHE: &str = include_str!("../../../../LICENSE");

/// Under which terms a base model is.
pub(super) struct Licence {
    model: String,
    /// Its name; empty where nobody said.
    name: String,
    url: String,
}

impl Licence {
    /// Of a model that is here.
    pub(super) fn of(ctx: &Ctx, model: &str) -> Result<Self, UserError> {
        let entry = ctx.studio.models.entry(&ctx.studio.store, model, "")?;
        // Of a file of the person's own nobody said; its words in the list are no licence.
        let known = !entry.licence_url.is_empty();
        Ok(Self {
            model: entry.name,
            name: if known { entry.licence } else { String::new() },
            url: entry.licence_url,
        })
    }

    pub(super) fn words(&self) -> String {
        let terms = match (self.name.as_str(), self.url.as_str()) {
            ("", _) => "Its licence is not known here: the file was brought in by hand. Find out before you pass this on.".to_owned(),
            (name, "") => format!("Its licence: {name}."),
            (name, url) => format!("Its licence: {name}. The text: {url}"),
        };
        let text = match self.name.as_str() {
            "Apache-2.0" => format!("\n{APACHE}"),
            _ => String::new(),
        };
        format!(
            "This was made from the model {}.\n{terms}\nWhat the licence asks of copies and changed versions holds for this folder, too.\n{text}",
            self.model
        )
    }
}

/// A card in plain words. It says how much was learned from and never what: no text, no title, no person's name.
pub(super) fn card(
    voice: &Adapter,
    form: ExportForm,
    licence: &Licence,
    exported: &Exported,
) -> String {
    let use_it = match form {
        ExportForm::Peft => {
            "A folder for PEFT: `PeftModel.from_pretrained(base, FOLDER)`, where `base` is the model above as transformers loads it."
        }
        ExportForm::Gguf => {
            "A LoRA adapter for llama.cpp and programs built on it: `--lora adapter.gguf` beside the model above."
        }
        ExportForm::Merged => {
            "The whole model with the voice in its weights, for llama.cpp and programs built on it: `-m model.gguf`."
        }
    };
    let storage = exported.storage.map_or_else(String::new, |storage| {
        format!("\nTensors that the voice changes are stored as {storage}; all others are as they were.\n")
    });
    let objective = voice.objective.map_or_else(
        || "not known here".to_owned(),
        |o| format!("{o:?}").to_lowercase(),
    );
    format!(
        "# {}\n\nA voice (a LoRA adapter) trained with Idiolect on the model {}.\n\n- Learned from: {} samples, {} votes, {} drafts; \
         objective {objective}; rank {}, alpha {}\n- Prompts it was trained under: {}\n- Read again after writing: {:.1e} nats a token from the \
         voice in the studio, on average over {} tokens\n- Licence: see LICENCE.txt\n\n## Use\n\n{use_it}\n{storage}\nA voice imitates one \
         person's writing. Use it as that person would want.\n",
        voice.name,
        licence.model,
        voice.samples.len(),
        voice.votes.len(),
        voice.drafts.len(),
        voice.rank,
        voice.alpha,
        voice.method,
        exported.difference,
        exported.tokens,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_licence_that_nobody_named_is_said_to_be_unknown() {
        let licence = |name: &str, url: &str| Licence {
            model: "M".into(),
            name: name.into(),
            url: url.into(),
        };
        assert!(licence("", "").words().contains("not known"));
        let words = licence("Apache-2.0", "https://example.org/l").words();
        assert!(words.contains("Apache-2.0") && words.contains("https://example.org/l"));
        assert!(!words.contains("not known"));
        assert!(
            words.contains("END OF TERMS AND CONDITIONS"),
            "the text goes along"
        );
        let other = licence("Some terms", "https://example.org/l").words();
        assert!(!other.contains("TERMS AND CONDITIONS"));
    }
}
