//! Importing a file: a look at what it holds, then the person's words out of it, however large it is.
//!
//! Nothing is held whole: texts go one by one from the file into a nameless file beside the database, and from there
//! into the database in one transaction. So other windows wait for the storing only and not for the reading, and
//! stopping or failing at any point, even a kill, leaves the home as it was.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Seek, Write},
    ops::ControlFlow,
    path::Path,
};

use idiolect_core::{UserError, ids::ProfileId, sample::Sample};
use idiolect_files::{Choice, FileKind, ImportError, Limits};

use crate::{
    api::{FileTicket, ImportCounts, ImportScan, Participant, Response},
    context::{Ctx, Pace, cancelled},
    errors::{Told, from_io, not_enough},
    prepare::{count, samples_of},
};

/// How many of the new samples an answer holds.
const SHOWN: usize = 20;
/// How many texts are stored between two looks at whether to go on.
const BETWEEN_LOOKS: u64 = 200;

pub(crate) fn scan(ctx: &mut Ctx, file: &FileTicket) -> Result<Response, UserError> {
    let path = ctx.studio.path_of(file)?;
    ctx.start_job("Looking at the file", false);
    let (cancel, mut pace) = (ctx.cancel().clone(), None);
    let scan = idiolect_files::scan(&path, &Limits::default(), &mut |done, total| {
        let pace = pace.get_or_insert_with(|| Pace::new(total, "bytes"));
        ctx.emit(pace.at(done, "Reading"));
        if cancel.is_cancelled() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })
    .told()?;
    Ok(Response::ImportScan {
        scan: ImportScan {
            file_name: path
                .file_name()
                .map_or_else(String::new, |n| n.to_string_lossy().into_owned()),
            kind: kind_in_words(scan.kind).to_owned(),
            bytes: scan.bytes,
            passages: count(scan.passages),
            participants: scan
                .participants
                .into_iter()
                .map(|p| Participant {
                    key: p.key,
                    display: p.display,
                    messages: count(p.messages),
                    words: count(p.words),
                })
                .collect(),
        },
    })
}

pub(crate) fn import(
    ctx: &mut Ctx,
    profile: &ProfileId,
    file: &FileTicket,
    mine: Vec<String>,
) -> Result<Response, UserError> {
    let studio = ctx.studio;
    studio.store.profile(profile).told()?;
    let path = studio.path_of(file)?;
    ctx.start_job("Importing texts", false);
    let mut counts = ImportCounts::default();
    let spool = read(ctx, profile, &path, mine, &mut counts)?;
    if spool.texts == 0 {
        return Err(not_enough(
            "The file holds no text of yours that is long enough to keep.",
            "For mail and chats, check which person you said you are; else choose a file with longer texts.",
        ));
    }
    let mut samples = Vec::new();
    let pace = Pace::new(spool.texts, "texts");
    let mut done = 0;
    let texts = spool.read_back().map_err(spool_failed)?.map(|sample| {
        if done % BETWEEN_LOOKS == 0 {
            ctx.emit(pace.at(done, "Storing"));
            ctx.check()?;
        }
        done += 1;
        sample.map_err(spool_failed)
    });
    let duplicates = studio
        .store
        .insert_stream::<UserError>(profile, texts, |stored| {
            counts.kept += 1;
            counts.words += stored.words;
            counts.other_language += u32::from(!matches!(&*stored.language, "en" | "und"));
            if samples.len() < SHOWN {
                samples.push(stored);
            }
        })?;
    counts.duplicates += duplicates;
    Ok(Response::Imported { counts, samples })
}

/// Brings the person's words out of the file into a spool, and counts what was left out.
fn read(
    ctx: &mut Ctx,
    profile: &ProfileId,
    path: &Path,
    mine: Vec<String>,
    counts: &mut ImportCounts,
) -> Result<Spool, UserError> {
    let mut spool = Spool::new(&ctx.studio.home).map_err(spool_failed)?;
    let mut full = None;
    let (cancel, mut pace) = (ctx.cancel().clone(), None);
    let read = idiolect_files::read(
        path,
        &Choice { mine },
        &Limits::default(),
        &mut |done, total| {
            let pace = pace.get_or_insert_with(|| Pace::new(total, "bytes"));
            ctx.emit(pace.at(done, "Reading"));
            if cancel.is_cancelled() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        },
        &mut |passage| {
            let kind = passage.kind.sample_kind();
            let samples = samples_of(profile, passage, kind);
            counts.split += u32::from(samples.len() > 1);
            match samples.iter().try_for_each(|sample| spool.add(sample)) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    full = Some(error);
                    ControlFlow::Break(())
                }
            }
        },
    );
    let read = match (full, read) {
        (Some(error), _) => return Err(spool_failed(error)),
        (None, Err(ImportError::Cancelled)) => return Err(cancelled()),
        (None, read) => read.told()?,
    };
    *counts = ImportCounts {
        other_people: count(read.other_people),
        quoted_replies: count(read.quoted_replies),
        signatures: count(read.signatures),
        boilerplate: count(read.boilerplate),
        duplicates: count(read.duplicates),
        too_short: count(read.too_short + read.empty),
        attachments: count(read.attachments),
        html_only: count(read.html_only),
        stopped_at_limit: read.stopped_at_limit,
        ..counts.clone()
    };
    Ok(spool)
}

/// Texts on their way into the database, in a file without a name: however this ends, nothing of it stays behind.
struct Spool {
    out: BufWriter<File>,
    texts: u64,
}

impl Spool {
    /// In the home, because the system's folder for temporary files may be small, or memory.
    fn new(home: &Path) -> io::Result<Self> {
        Ok(Self {
            out: BufWriter::new(tempfile::tempfile_in(home)?),
            texts: 0,
        })
    }

    fn add(&mut self, sample: &Sample) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, sample)?;
        self.texts += 1;
        self.out.write_all(b"\n")
    }

    fn read_back(self) -> io::Result<impl Iterator<Item = io::Result<Sample>>> {
        let mut file = self.out.into_inner()?;
        file.rewind()?;
        let lines = BufReader::new(file).lines();
        Ok(lines.map(|line| Ok(serde_json::from_str(&line?)?)))
    }
}

fn spool_failed(error: io::Error) -> UserError {
    from_io("Importing", &error)
}

fn kind_in_words(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Pasted => "Pasted text",
        FileKind::PlainText => "Text file",
        FileKind::Markdown => "Markdown file",
        FileKind::Html => "Web page",
        FileKind::Docx => "Word document",
        FileKind::Eml => "Mail message",
        FileKind::Mbox => "Mailbox",
        FileKind::ChatJson | FileKind::ChatJsonLines | FileKind::ChatLog => "Chat export",
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fmt::Write as _,
        path::PathBuf,
        process::Command,
        sync::atomic::{AtomicU64, Ordering},
    };

    use idiolect_core::ErrorCode;

    use super::*;
    use crate::{
        Options, Studio,
        api::{Event, Request},
        process::peak_bytes,
    };

    const CHILD: &str = "IDIOLECT_IMPORT_TEST_FOLDER";

    fn studio(folder: &Path) -> (Studio, ProfileId) {
        let studio = Studio::open(Options {
            home: Some(folder.join("home")),
            models: Some(folder.join("models")),
            offline: true,
        })
        .unwrap();
        let request = Request::ProfileNew {
            name: "p".to_owned(),
        };
        let Ok(Response::Profile { profile }) = studio.run(request, &mut |_| {}) else {
            panic!("a profile is begun");
        };
        (studio, profile.id)
    }

    /// A mailbox of this many mails of one's own, about 2 kB each, every second one answered by somebody else.
    fn mailbox(folder: &Path, mails: u32) -> PathBuf {
        let path = folder.join(format!("{mails}.mbox"));
        let mut file = BufWriter::new(File::create(&path).unwrap());
        let mut body = String::new();
        for i in 0..mails {
            body.clear();
            for line in 0..25 {
                let n = u64::from(i) * 25 + line;
                writeln!(
                    body,
                    "On the {n}th walk we saw {} herons by the weir, and it rained again.",
                    n * 7919 % 1000
                )
                .unwrap();
            }
            for who in ["me@example.org", "you@example.org"]
                .iter()
                .take(1 + i as usize % 2)
            {
                write!(
                    file,
                    "From {who} Fri May  3 18:20:00 2024\nFrom: {who}\nSubject: s\n\n{body}\n-- \nzqxjkvsig\n\n"
                )
                .unwrap();
            }
        }
        file.flush().unwrap();
        path
    }

    fn import(
        studio: &Studio,
        profile: &ProfileId,
        path: &Path,
        emit: &mut (dyn FnMut(Event) + Send),
    ) -> Result<(ImportCounts, Vec<Sample>), UserError> {
        let request = Request::ImportRun {
            profile: profile.clone(),
            file: studio.ticket(path.to_owned()),
            mine: vec!["me@example.org".to_owned()],
        };
        match studio.run(request, emit)? {
            Response::Imported { counts, samples } => Ok((counts, samples)),
            other => panic!("got {other:?}"),
        }
    }

    #[test]
    #[ignore = "a child of the test below, not a test"]
    fn importer() {
        let Ok(folder) = std::env::var(CHILD) else {
            return;
        };
        let folder = Path::new(&folder);
        let (studio, profile) = studio(folder);
        for mails in [500, 4_000] {
            let path = mailbox(folder, mails);
            let (counts, samples) = import(&studio, &profile, &path, &mut |_| {}).unwrap();
            assert_eq!(samples.len(), SHOWN, "the answer does not carry all texts");
            println!("peak {mails} {} {}", counts.kept, peak_bytes());
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_large_mailbox_is_stored_with_bounded_memory() {
        let folder = tempfile::tempdir().unwrap();
        let output = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "import::tests::importer",
                "--ignored",
                "--nocapture",
            ])
            .env(CHILD, folder.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let numbers: Vec<Vec<u64>> = text
            .lines()
            .filter_map(|line| line.split_once("peak "))
            .map(|(_, rest)| rest.split(' ').map(|n| n.parse().unwrap()).collect())
            .collect();
        let [small, large] = numbers.as_slice() else {
            panic!("two imports: {text}");
        };
        // The first 500 texts of the large one are those of the small one.
        assert_eq!((small[1], large[1]), (500, 3_500));
        let grown = large[2] - small[2];
        assert!(
            grown < 4 << 20,
            "8 MB more of text took {grown} bytes more at the peak"
        );
    }

    #[test]
    fn stopping_an_import_at_any_point_leaves_what_was_there_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let (studio, profile) = studio(folder.path());
        let before = mailbox(folder.path(), 3);
        import(&studio, &profile, &before, &mut |_| {}).unwrap();
        let path = mailbox(folder.path(), 2_000);
        for (while_doing, from) in [
            ("Reading", 0),
            ("Reading", 1 << 20),
            ("Storing", 0),
            ("Storing", 1_000),
        ] {
            let job = AtomicU64::new(0);
            let stopper = studio.clone();
            let mut stopped = false;
            let error = import(&studio, &profile, &path, &mut |event| match event {
                Event::Started { job: number, .. } => job.store(number, Ordering::Relaxed),
                Event::Progress { message, done, .. }
                    if !stopped && message == while_doing && done >= from =>
                {
                    stopped = true;
                    let job = job.load(Ordering::Relaxed);
                    stopper
                        .run(Request::JobCancel { job }, &mut |_| {})
                        .unwrap();
                }
                _ => {}
            })
            .unwrap_err();
            assert_eq!(
                error.code,
                ErrorCode::Cancelled,
                "{while_doing} from {from}"
            );
            let kept = studio.inner.store.samples(&profile).unwrap();
            assert_eq!(kept.len(), 3, "{while_doing} from {from}");
        }
        let files: Vec<_> = std::fs::read_dir(folder.path().join("home"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !name.starts_with("idiolect.db") && name != "open")
            .collect();
        assert!(files.is_empty(), "no spool is left: {files:?}");
        let (counts, _) = import(&studio, &profile, &path, &mut |_| {}).unwrap();
        assert_eq!((counts.kept, counts.duplicates), (1_997, 3));
        assert_eq!(counts.signatures, 2_000);
    }
}
