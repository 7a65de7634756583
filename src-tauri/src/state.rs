//! What the window holds while it is open: the studio, or why it could not be opened.

use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use idiolect_core::UserError;
use idiolect_studio::{
    Options, Studio,
    api::{Event, FileTicket, Request},
};

/// The studio behind the window. Where it could not be opened (a newer database, a folder that cannot
/// be written), every request answers with the reason, so that the window can show it.
pub struct AppState {
    options: Options,
    studio: Mutex<Result<Studio, UserError>>,
}

impl AppState {
    /// Opens the person's own home, or the one that `IDIOLECT_HOME` names.
    pub fn open() -> Self {
        Self::with(Options {
            home: None,
            models: None,
            offline: false,
        })
    }

    /// Opens a studio with the given options.
    pub fn with(options: Options) -> Self {
        Self {
            studio: Mutex::new(Studio::open(options.clone())),
            options,
        }
    }

    /// Runs a request; `sink` sees every event, `done` or `failed` last.
    ///
    /// The status is what the window asks for first, when it starts and when the person tries again: where the
    /// studio could not be opened, it is then opened anew.
    pub fn submit(&self, request: Request, mut sink: impl FnMut(Event) + Send + 'static) {
        let studio = match self.studio() {
            Err(_) if matches!(request, Request::Status) => self.reopen(),
            known => known,
        };
        match studio {
            Ok(studio) => studio.submit(request, sink),
            Err(error) => sink(Event::Failed { error }),
        }
    }

    /// Names for files that the person picked or dropped.
    ///
    /// # Errors
    /// Why the studio is not open.
    pub fn tickets(
        &self,
        paths: impl IntoIterator<Item = PathBuf>,
    ) -> Result<Vec<FileTicket>, UserError> {
        let studio = self.studio()?;
        Ok(paths.into_iter().map(|path| studio.ticket(path)).collect())
    }

    /// Asks every running job to stop.
    pub fn stop_all(&self) {
        if let Ok(studio) = self.studio() {
            studio.stop_all();
        }
    }

    fn studio(&self) -> Result<Studio, UserError> {
        self.lock().clone()
    }

    fn reopen(&self) -> Result<Studio, UserError> {
        let mut studio = self.lock();
        if studio.is_err() {
            *studio = Studio::open(self.options.clone());
        }
        studio.clone()
    }

    /// What is inside is valid between statements, so a panic elsewhere does not matter.
    fn lock(&self) -> std::sync::MutexGuard<'_, Result<Studio, UserError>> {
        self.studio.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
