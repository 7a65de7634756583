//! HTTP on a thread of its own, so that the person's stop is obeyed at once, whatever the other side does.
//!
//! The thread looks up, connects, asks and reads; what it reads comes through a short queue. Whoever waits
//! on the queue watches the stop. A source that falls silent ends like a cut connection, so it resumes.

use std::{
    io::Read,
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    time::Duration,
};

use idiolect_core::{ErrorCode, UserError};
use idiolect_llm::Cancel;
use ureq::http::HeaderMap;

use crate::context::cancelled;

/// How often a wait looks at the stop.
const GLANCE: Duration = Duration::from_millis(50);
/// Pieces read ahead of the disk.
const AHEAD: usize = 4;
const PIECE: usize = 256 << 10;

/// How long each thing may take before it counts as failed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// Looking the name up; connecting, handshakes included: each.
    pub(crate) connect: Duration,
    /// The answer's head.
    pub(crate) answer: Duration,
    /// Between two pieces of the body.
    pub(crate) silence: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            answer: Duration::from_secs(30),
            silence: Duration::from_secs(15),
        }
    }
}

/// Why a transfer stopped before its end.
pub(crate) enum Stop {
    /// Worth another attempt.
    Cut(String),
    Final(UserError),
}

impl From<UserError> for Stop {
    fn from(error: UserError) -> Self {
        Self::Final(error)
    }
}

/// Asks one source; ends with the person's stop.
pub(crate) struct Client {
    agent: ureq::Agent,
    cancel: Cancel,
}

impl Client {
    pub(crate) fn new(cancel: &Cancel) -> Self {
        Self::with(Patience::default(), cancel)
    }

    pub(crate) fn with(patience: Patience, cancel: &Cancel) -> Self {
        let agent = ureq::Agent::config_builder()
            .timeout_resolve(Some(patience.connect))
            .timeout_connect(Some(patience.connect))
            .timeout_recv_response(Some(patience.answer))
            .timeout_per_read(Some(patience.silence))
            .timeout_per_write(Some(patience.silence))
            .http_status_as_error(false)
            .user_agent(concat!("idiolect/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        Self {
            agent,
            cancel: cancel.clone(),
        }
    }

    /// Sends a GET and waits for the answer's head.
    pub(crate) fn get(&self, url: &str, headers: &[(&str, String)]) -> Result<Answer<'_>, Stop> {
        if self.cancel.is_cancelled() {
            return Err(Stop::Final(cancelled()));
        }
        let mut request = self.agent.get(url);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let (sender, pieces) = sync_channel(AHEAD);
        // Not joined: a stop must not wait for a name look-up. It ends with its own time limits, or when
        // nobody takes what it reads.
        std::thread::spawn(move || read(request, &sender));
        let mut answer = Answer {
            client: self,
            pieces,
            status: 0,
            headers: HeaderMap::new(),
        };
        match answer.wait()? {
            Some(Piece::Head(status, headers)) => {
                answer.status = status;
                answer.headers = headers;
                Ok(answer)
            }
            _ => Err(Stop::Cut("the connection was cut".to_owned())),
        }
    }
}

/// An answer whose body is still coming.
pub(crate) struct Answer<'a> {
    client: &'a Client,
    pieces: Receiver<Piece>,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
}

impl Answer<'_> {
    /// A header that is plain text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The next piece of the body; `None` at its end.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<u8>>, Stop> {
        Ok(self.wait()?.and_then(|piece| match piece {
            Piece::Body(bytes) => Some(bytes),
            Piece::Head(..) | Piece::Failed(_) => None,
        }))
    }

    fn wait(&mut self) -> Result<Option<Piece>, Stop> {
        loop {
            if self.client.cancel.is_cancelled() {
                self.client.agent.clone().shutdown();
                return Err(Stop::Final(cancelled()));
            }
            match self.pieces.recv_timeout(GLANCE) {
                Ok(Piece::Failed(why)) => return Err(Stop::Cut(why)),
                Ok(piece) => return Ok(Some(piece)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
            }
        }
    }
}

enum Piece {
    Head(u16, HeaderMap),
    Body(Vec<u8>),
    Failed(String),
}

/// The thread: ends at the body's end, a failure, or when nobody listens any more.
fn read(request: ureq::RequestBuilder<ureq::typestate::WithoutBody>, to: &SyncSender<Piece>) {
    let mut response = match request.call() {
        Ok(response) => response,
        Err(error) => {
            let _nobody_listens = to.send(Piece::Failed(plain(&error)));
            return;
        }
    };
    let head = Piece::Head(response.status().as_u16(), response.headers().clone());
    if to.send(head).is_err() {
        return;
    }
    let mut reader = response.body_mut().as_reader();
    loop {
        let mut bytes = vec![0; PIECE];
        let piece = match reader.read(&mut bytes) {
            Ok(0) => return,
            Ok(n) => {
                bytes.truncate(n);
                Piece::Body(bytes)
            }
            Err(error) => Piece::Failed(plain(&ureq::Error::from(error))),
        };
        let ended = matches!(piece, Piece::Failed(_));
        if to.send(piece).is_err() || ended {
            return;
        }
    }
}

/// Nobody answers, or not usefully.
pub(crate) fn unreachable(why: &str) -> UserError {
    UserError::new(
        ErrorCode::SourceUnreachable,
        format!("The model's source cannot be reached: {why}."),
        "Check the connection and try again (it resumes), or get the file another way and import it: `idiolect models import FILE`.",
    )
}

/// An HTTP error without the address (which may name a mirror of the person's).
fn plain(error: &ureq::Error) -> String {
    match error {
        ureq::Error::HostNotFound => "its name cannot be looked up".to_owned(),
        ureq::Error::ConnectionFailed => "nobody answers".to_owned(),
        ureq::Error::Timeout(ureq::Timeout::PerRead) => "it fell silent".to_owned(),
        ureq::Error::Timeout(_) => "it takes too long to answer".to_owned(),
        ureq::Error::Io(e) => e.kind().to_string(),
        _ => "the connection failed".to_owned(),
    }
}
