//! Use cases: the only door for every front. A [`api::Request`] goes in, [`api::Event`]s come out.
//!
//! This crate orchestrates the others (store, model, inference, training) and turns their errors
//! into a person's words. It holds no numeric code, no SQL and no window.
#![forbid(unsafe_code)]

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, atomic::AtomicU64},
};

use idiolect_core::{
    ErrorCode, UserError,
    draft::Draft,
    ids::{AdapterId, DraftId, HypothesisId, SampleId},
    vote::BlindPair,
};
use idiolect_store::Store;

pub mod api;

mod align;
mod bench;
mod bench_speed;
mod bench_train;
mod context;
mod demo;
mod dispatch;
mod errors;
mod eval;
#[cfg(test)]
mod fixtures;
mod import;
mod inference;
mod jobs;
mod memory;
mod models;
mod plot;
mod prepare;
mod process;
mod profiles;
mod retest;
mod samples;
mod status;
mod votes;
mod writing;

use api::{Event, FileTicket, Request, Response};
use errors::Told;
pub use jobs::Interrupted;
pub use models::{default_model_ids, default_models_dir};

/// How a studio is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// The person's data. `None`: `IDIOLECT_HOME`, else the platform's data folder.
    pub home: Option<PathBuf>,
    /// Models. `None`: `IDIOLECT_MODELS`, else the platform's data folder.
    pub models: Option<PathBuf>,
    /// Refuse every transfer, whatever a request asks.
    pub offline: bool,
}

/// An open studio. Clones share everything; drop the last one to close it.
#[derive(Clone)]
pub struct Studio {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    home: PathBuf,
    offline: bool,
    store: Store,
    models: models::Registry,
    jobs: jobs::Jobs,
    tickets: Mutex<HashMap<String, PathBuf>>,
    next_ticket: AtomicU64,
}

impl Studio {
    /// Opens the person's data, creating it on the first day.
    ///
    /// # Errors
    /// `read_only_home`, `newer_database`, `database_corrupt`, `disk_full`, `io`; nothing is altered then.
    pub fn open(options: Options) -> Result<Self, UserError> {
        let home = match options
            .home
            .or_else(|| std::env::var_os("IDIOLECT_HOME").map(PathBuf::from))
        {
            Some(home) => home,
            None => dirs::data_dir()
                .map(|dir| dir.join("idiolect"))
                .ok_or_else(|| no_folder("data"))?,
        };
        let models_dir = match options.models {
            Some(dir) => dir,
            None => models::default_models_dir().ok_or_else(|| no_folder("models"))?,
        };
        let opened = Store::open(&home).map_err(|e| e.to_user())?;
        align::sweep(&home);
        align::sweep_checkpoints(&home, &opened.store);
        let models = models::Registry::open(models_dir);
        Ok(Self {
            inner: Arc::new(Inner {
                home,
                offline: options.offline,
                store: opened.store,
                models,
                jobs: jobs::Jobs::default(),
                tickets: Mutex::default(),
                next_ticket: AtomicU64::new(1),
            }),
        })
    }

    /// Where the person's data lies.
    pub fn home(&self) -> &Path {
        &self.inner.home
    }

    /// An opaque name for a file the person picked, for [`Request`]s that take one.
    pub fn ticket(&self, path: PathBuf) -> FileTicket {
        let number = self
            .inner
            .next_ticket
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        // Unguessable, so that a page cannot name a file that was picked for something else.
        let name = format!("file-{number}-{:016x}", rand::random::<u64>());
        lock(&self.inner.tickets).insert(name.clone(), path);
        FileTicket(name)
    }

    /// Runs a request to its end on this thread; `emit` sees every event but the last.
    ///
    /// # Errors
    /// What the request failed with.
    pub fn run(
        &self,
        request: Request,
        emit: &mut (dyn FnMut(Event) + Send),
    ) -> Result<Response, UserError> {
        dispatch::run(&self.inner, request, emit)
    }

    /// Runs a request on a thread of its own; `sink` sees every event, `done` or `failed` last.
    pub fn submit(&self, request: Request, mut sink: impl FnMut(Event) + Send + 'static) {
        let inner = Arc::clone(&self.inner);
        std::thread::spawn(move || {
            let last =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    match dispatch::run(&inner, request, &mut sink) {
                        Ok(response) => Event::Done { response },
                        Err(error) => Event::Failed { error },
                    }
                }))
                .unwrap_or_else(|_| Event::Failed {
                    error: UserError::new(
                        ErrorCode::Internal,
                        "The studio ran into a bug of its own; what was stored before is safe.",
                        "Try again; if it comes back, restart the studio.",
                    ),
                });
            sink(last);
        });
    }

    /// The sample whose id begins like this.
    ///
    /// # Errors
    /// `not_found`, `ambiguous`.
    pub fn sample_id(&self, beginning: &str) -> Result<SampleId, UserError> {
        self.inner.store.resolve_sample(beginning).told()
    }

    /// The hypothesis whose id begins like this.
    ///
    /// # Errors
    /// `not_found`, `ambiguous`.
    pub fn hypothesis_id(&self, beginning: &str) -> Result<HypothesisId, UserError> {
        self.inner.store.resolve_hypothesis(beginning).told()
    }

    /// The draft whose id begins like this.
    ///
    /// # Errors
    /// `not_found`, `ambiguous`.
    pub fn draft_id(&self, beginning: &str) -> Result<DraftId, UserError> {
        self.inner.store.resolve_draft(beginning).told()
    }

    /// The adapter whose id begins like this.
    ///
    /// # Errors
    /// `not_found`, `ambiguous`.
    pub fn adapter_id(&self, beginning: &str) -> Result<AdapterId, UserError> {
        self.inner.store.resolve_adapter(beginning).told()
    }

    /// The blind pair whose id begins like this, as it is shown before a vote.
    ///
    /// # Errors
    /// `not_found`, `ambiguous`.
    pub fn waiting_pair(&self, beginning: &str) -> Result<BlindPair, UserError> {
        let id = self.inner.store.resolve_pair(beginning).told()?;
        self.inner.store.blind_pair(&id).told()
    }

    /// The draft whose id begins like this.
    ///
    /// # Errors
    /// `not_found`, `ambiguous`.
    pub fn draft(&self, beginning: &str) -> Result<Draft, UserError> {
        self.inner.store.draft(&self.draft_id(beginning)?).told()
    }

    /// Asks every running job to stop because the window closes. A training is cut short by that and not given up: it can be
    /// taken up from its last checkpoint.
    pub fn stop_all(&self) {
        self.inner.jobs.close();
    }

    /// For a signal handler, which must not keep the studio open. The first call stops trainings and keeps
    /// their best; where there is none, or again, it stops everything.
    pub fn interrupter(&self) -> impl Fn() -> Interrupted + Send + Sync + 'static {
        let inner = Arc::downgrade(&self.inner);
        move || {
            inner
                .upgrade()
                .map_or(Interrupted::Nothing, |inner| inner.jobs.interrupt())
        }
    }
}

impl Inner {
    fn path_of(&self, ticket: &FileTicket) -> Result<PathBuf, UserError> {
        lock(&self.tickets).get(&ticket.0).cloned().ok_or_else(|| {
            UserError::new(
                ErrorCode::NotFound,
                "That file is not one that was picked in this session.",
                "Pick the file again.",
            )
        })
    }
}

fn no_folder(what: &str) -> UserError {
    UserError::new(
        ErrorCode::Io,
        format!("This system names no folder for the studio's {what}."),
        "Name one with --home (or IDIOLECT_HOME) and --models (or IDIOLECT_MODELS).",
    )
}

/// Locks, going on after a panic elsewhere: what the mutexes here guard is valid between statements.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
