//! What tests of several files begin with.

use idiolect_core::{
    draft::{Draft, Method},
    ids::{DraftId, ProfileId},
    profile::Intent,
    sample::{Sample, SampleKind},
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

/// A short letter.
pub(crate) fn sample() -> Sample {
    Sample {
        id: "s-1".into(),
        profile: ProfileId::from("p"),
        kind: SampleKind::Email,
        title: String::new(),
        text: "A text.".into(),
        prompt: None,
        words: 10,
        language: "en".into(),
        written_at: None,
        added_at: String::new(),
        removed: vec![],
        note: String::new(),
    }
}
