//! What tests of several files begin with.

use idiolect_core::{
    draft::{Draft, Method},
    ids::{DraftId, ProfileId},
    profile::Intent,
};

/// A draft about which nothing is said yet.
pub(crate) fn draft() -> Draft {
    Draft {
        id: DraftId(String::new()),
        profile: ProfileId::from("p"),
        intent: Intent::AsMe,
        method: Method::base(),
        brief: String::new(),
        prompt: String::new(),
        text: "A text.".into(),
        tokens: 0,
        prompt_tokens: 0,
        seconds: 0.0,
        tokens_per_second: 0.0,
        sampling: Default::default(),
        model: "m".into(),
        adapter: None,
        other_adapters: vec![],
        ended: "stop".into(),
        meters: Default::default(),
        kept: false,
        edited: None,
        thumb: None,
        created_at: String::new(),
    }
}
