//! What the window holds while it is open: the studio, or why it could not be opened.

use std::path::PathBuf;

use idiolect_core::UserError;
use idiolect_studio::{
    Options, Studio,
    api::{Event, FileTicket, Request},
};

/// The studio behind the window. Where it could not be opened (a newer database, a folder that cannot
/// be written), every request answers with the reason, so that the window can show it.
pub struct AppState {
    studio: Result<Studio, UserError>,
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
            studio: Studio::open(options),
        }
    }

    /// Runs a request; `sink` sees every event, `done` or `failed` last.
    pub fn submit(&self, request: Request, mut sink: impl FnMut(Event) + Send + 'static) {
        match &self.studio {
            Ok(studio) => studio.submit(request, sink),
            Err(error) => sink(Event::Failed {
                error: error.clone(),
            }),
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
        let studio = self.studio.as_ref().map_err(Clone::clone)?;
        Ok(paths.into_iter().map(|path| studio.ticket(path)).collect())
    }

    /// Asks every running job to stop.
    pub fn stop_all(&self) {
        if let Ok(studio) = &self.studio {
            studio.stop_all();
        }
    }
}
