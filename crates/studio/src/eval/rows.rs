//! Rows that a run already measured, so that a run that was cut short goes on: reused only for the same
//! build, model, data, seed and flags.

use idiolect_core::UserError;
use idiolect_store::EvalKey;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::collections::BTreeMap;

use crate::{api::EvalRequest, context::Ctx, errors::Told};

pub(super) struct RowCache {
    key: EvalKey,
    known: BTreeMap<String, Value>,
}

impl RowCache {
    pub(super) fn open(
        ctx: &Ctx,
        version: &str,
        model: &str,
        data: &str,
        request: &EvalRequest,
    ) -> Result<Self, UserError> {
        let key = EvalKey {
            eval: request.name.clone(),
            build: format!("{} {version}", env!("CARGO_PKG_VERSION")),
            model: model.to_owned(),
            data_sha256: data.to_owned(),
            seed: request.seed,
            flags: format!("corpus={:?} texts={:?}", request.corpus, request.texts),
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
