//! Rows that a run already measured, so that a run that was cut short goes on: reused only for the same
//! build, models, data, seed and flags.

use std::{collections::BTreeMap, sync::OnceLock};

use idiolect_core::UserError;
use idiolect_llm::Cancel;
use idiolect_store::EvalKey;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    api::EvalRequest,
    context::Ctx,
    errors::Told,
    models::{hex, sha256_of},
};

pub(super) struct RowCache {
    key: EvalKey,
    known: BTreeMap<String, Value>,
}

impl RowCache {
    /// `model` and `embedder` are hashes of files; `None` where no embedder has a part in the rows.
    pub(super) fn open(
        ctx: &Ctx,
        model: &str,
        embedder: Option<&str>,
        data: &str,
        request: &EvalRequest,
    ) -> Result<Self, UserError> {
        let EvalRequest {
            corpus,
            limit,
            texts,
            ..
        } = request;
        let key = EvalKey {
            eval: request.name.clone(),
            build: build().to_owned(),
            model: model.to_owned(),
            data_sha256: data.to_owned(),
            seed: request.seed,
            flags: format!(
                "corpus={corpus:?} limit={limit:?} texts={texts:?} embedder={embedder:?}"
            ),
        };
        if request.fresh {
            ctx.studio.store.clear_eval_rows(&key).told()?;
        }
        let known = ctx.studio.store.eval_rows(&key).told()?;
        Ok(Self { key, known })
    }

    pub(super) fn get<T: DeserializeOwned>(&self, item: &str) -> Option<T> {
        serde_json::from_value(self.known.get(item)?.clone()).ok()
    }

    /// Keeps a row. One that cannot be kept is measured again next time.
    pub(super) fn put<T: Serialize>(&self, ctx: &Ctx, item: &str, row: &T) {
        if let Ok(value) = serde_json::to_value(row) {
            let _ = ctx.studio.store.put_eval_row(&self.key, item, &value);
        }
    }
}

/// What a row is kept under: a hash of the texts it was measured on, so that no text of the data is kept.
pub(super) fn key_of<'t>(texts: impl IntoIterator<Item = &'t String>) -> String {
    let mut hasher = Sha256::new();
    for text in texts {
        hasher.update(text.as_bytes());
        hasher.update([0]);
    }
    hex(hasher)
}

/// The running program: its file's hash, so that any change of code or of built-in numbers is another build. Where the file
/// cannot be read, a name that no other run has.
fn build() -> &'static str {
    static BUILD: OnceLock<String> = OnceLock::new();
    BUILD.get_or_init(|| {
        std::env::current_exe()
            .ok()
            .and_then(|path| sha256_of(&path, &Cancel::new(), |_| {}).ok())
            .unwrap_or_else(|| {
                let now = std::time::SystemTime::now()
                    .duration_since(std::time::UNIX_EPOCH)
                    .map_or(0, |d| d.as_nanos());
                format!("unknown-{}-{now}", std::process::id())
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_is_named_by_its_file_and_not_by_its_version() {
        let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let mut hasher = sha2::Sha256::default();
        sha2::Digest::update(&mut hasher, &program);
        assert_eq!(build(), crate::models::hex(hasher));
    }
}
