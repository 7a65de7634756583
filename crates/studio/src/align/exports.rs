//! Trained voices on their way out and in: written for other programs with their licence and a card, read from other
//! programs, mixed into one. What is written is read again before it is left (the engine's check).

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use idiolect_core::{
    ErrorCode, UserError,
    adapter::Adapter,
    draft::{AdapterUse, Method},
    ids::{AdapterId, ProfileId},
};
use idiolect_engine::{Export, Exported, LoraWeights, WEIGHTS_FILE};
use idiolect_llm::{AdapterSource, LlmError, TextModel};
use idiolect_persona::briefs;

use super::card::{Licence, card};
use crate::{
    api::{ExportForm, ExportReport, FileTicket, Response},
    context::Ctx,
    errors::{Told, usage},
    models::{Writer, name_for_transformers},
    writing::adapter_source,
};

/// Texts that an export is checked with, and the most tokens of each.
const CHECKED_TEXTS: usize = 4;
const CHECKED_TOKENS: usize = 128;
/// Voices in one mix.
const MOST_MIXED: usize = 4;

/// Writes a voice as a folder that other programs read, with its licence and a card beside it.
pub(crate) fn export(
    ctx: &mut Ctx,
    adapter: &AdapterId,
    form: ExportForm,
    to: &FileTicket,
) -> Result<Response, UserError> {
    let to = ctx.studio.path_of(to)?;
    let voice = ctx.studio.store.adapter(adapter).told()?;
    ctx.start_job(&format!("Exporting “{}”", voice.name), false);
    if to.exists() {
        return Err(usage(
            "There is something at that place already.",
            "Choose another name: an export is a new folder.",
        ));
    }
    let writer = ctx.studio.models.writer(ctx, Some(&voice.model))?;
    let source = adapter_source(ctx, &writer, &AdapterUse::new(voice.id.clone(), 1.0))?;
    let texts = texts(ctx, &writer, &voice)?;
    let what = Export {
        adapters: &[source],
        texts: &texts,
    };
    // All of it under another name first: a folder with the right name is whole.
    let staged = beside(&to);
    let written = write(ctx, &writer, &voice, &what, form, &staged).and_then(|exported| {
        Ok((
            fs::rename(&staged, &to).map_err(LlmError::from).told()?,
            exported,
        ))
    });
    let exported = match written {
        Ok(((), exported)) => exported,
        Err(error) => {
            let _ = fs::remove_dir_all(&staged);
            return Err(error);
        }
    };
    Ok(Response::AdapterExported {
        report: ExportReport {
            written: to.display().to_string(),
            form,
            difference: exported.difference,
            tokens: exported.tokens as u64,
            storage: exported.storage.unwrap_or_default().to_owned(),
            bytes: size(&to),
        },
    })
}

fn write(
    ctx: &Ctx,
    writer: &Writer,
    voice: &Adapter,
    what: &Export,
    form: ExportForm,
    folder: &Path,
) -> Result<Exported, UserError> {
    let (model, cancel) = (&writer.model, ctx.cancel());
    if form != ExportForm::Peft {
        fs::create_dir_all(folder).map_err(LlmError::from).told()?;
    }
    let exported = match form {
        ExportForm::Peft => {
            model.export_peft(what, name_for_transformers(&writer.file.id), folder, cancel)
        }
        ExportForm::Gguf => {
            model.export_gguf(what, &voice.name, &folder.join("adapter.gguf"), cancel)
        }
        ExportForm::Merged => {
            model.export_merged(what, &writer.file.path, &folder.join("model.gguf"), cancel)
        }
    }
    .told()?;
    let licence = Licence::of(ctx, &writer.file.id)?;
    fs::write(
        folder.join("README.md"),
        card(voice, form, &licence, &exported),
    )
    .and_then(|()| fs::write(folder.join("LICENCE.txt"), licence.words()))
    .map_err(LlmError::from)
    .told()?;
    Ok(exported)
}

/// A name beside the one wanted, on the same disk.
fn beside(to: &Path) -> PathBuf {
    let mut name = to.file_name().unwrap_or_default().to_owned();
    name.push(format!(".unfinished-{}", std::process::id()));
    to.with_file_name(name)
}

fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|e| e.metadata().ok())
        .map(|m| m.len())
        .sum()
}

/// What it learned from says most about whether it came through whole; briefs of the shelf where that is gone or was no text.
fn texts(ctx: &Ctx, writer: &Writer, voice: &Adapter) -> Result<Vec<Vec<u32>>, UserError> {
    let learned = voice
        .samples
        .iter()
        .filter_map(|id| ctx.studio.store.sample(id).ok());
    let mut texts: Vec<String> = learned
        .take(CHECKED_TEXTS)
        .map(|sample| sample.text)
        .collect();
    texts.extend((texts.is_empty()).then(|| briefs::fresh().join("\n")));
    texts
        .iter()
        .map(|text| {
            let mut tokens = writer.model.encode(text).told()?;
            tokens.truncate(CHECKED_TOKENS);
            Ok(tokens)
        })
        .collect()
}

/// Takes in a voice of another program: a folder of PEFT (or a file in it), or a GGUF adapter.
pub(crate) fn import(
    ctx: &mut Ctx,
    profile: &ProfileId,
    file: &FileTicket,
    model: Option<&str>,
    name: Option<String>,
) -> Result<Response, UserError> {
    ctx.studio.store.profile(profile).told()?;
    let picked = ctx.studio.path_of(file)?;
    ctx.start_job("Bringing in a voice", false);
    let (from, kind) = source_of(&picked)?;
    let writer = ctx.studio.models.writer(ctx, model)?;
    let id = ctx.studio.store.fresh_adapter_id().told()?;
    let unfinished = ctx.studio.unfinished_dir(&id);
    let read = writer
        .model
        .import_adapter(&from, &writer.file.id, &unfinished);
    let lora = match read {
        Ok(lora) => lora,
        Err(error) => {
            let _ = fs::remove_dir_all(&unfinished);
            return Err(error).told();
        }
    };
    let name = name
        .filter(|n| !n.trim().is_empty())
        .unwrap_or_else(|| called(&from));
    let voice = Adapter {
        imported: Some(format!(
            "Brought in from {kind}; what it learned from is not known here"
        )),
        ..voice_of(&id, profile, name, &writer, &lora, Method::base())
    };
    keep(ctx, &voice)
}

/// What a voice that is brought in is called: as its file, or as the folder where every such file is called alike.
fn called(from: &Path) -> String {
    let stem = from.file_stem().unwrap_or_default();
    let alike = stem == "adapter" || stem == "adapter_model";
    let folder = from.parent().and_then(Path::file_name).filter(|_| alike);
    let name = folder.unwrap_or(stem).to_string_lossy();
    name.chars().take(80).collect()
}

/// Where the reader begins, and what that is in words.
fn source_of(picked: &Path) -> Result<(PathBuf, &'static str), UserError> {
    let named = |name: &str| picked.file_name().is_some_and(|n| n == name);
    if picked.is_dir() {
        return Ok((picked.to_owned(), "a PEFT folder"));
    }
    // A dialog picks files: any of the two names the folder.
    if named(WEIGHTS_FILE) || named("adapter_config.json") {
        let folder = picked.parent().unwrap_or(Path::new("."));
        return Ok((folder.to_owned(), "a PEFT folder"));
    }
    match fs::File::open(picked).and_then(|mut file| {
        let mut magic = [0; 4];
        io::Read::read_exact(&mut file, &mut magic).map(|()| magic)
    }) {
        Ok(magic) if &magic == b"GGUF" => Ok((picked.to_owned(), "a GGUF adapter")),
        Ok(_) => Err(not_a_voice()),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(not_a_voice()),
        Err(error) => Err(crate::errors::from_io("Reading the voice", &error)),
    }
}

fn not_a_voice() -> UserError {
    UserError::new(
        ErrorCode::UnsupportedFile,
        "This is no trained voice that can be read.",
        "Pick a GGUF adapter, or the adapter_model.safetensors of a PEFT folder.",
    )
}

/// Mixes voices of one profile and model into one: each with its strength.
pub(crate) fn stack(
    ctx: &mut Ctx,
    parts: &[AdapterUse],
    name: Option<String>,
) -> Result<Response, UserError> {
    if !(1..=MOST_MIXED).contains(&parts.len()) || parts.iter().all(|part| part.scale == 0.0) {
        return Err(usage(
            format!("A mix is of 1 to {MOST_MIXED} voices, and one of them must be on."),
            "Name them with their strengths, 0 to 2.",
        ));
    }
    ctx.start_job("Mixing voices", false);
    let voices = parts
        .iter()
        .map(|part| ctx.studio.store.adapter(&part.id).told())
        .collect::<Result<Vec<_>, _>>()?;
    let first = &voices[0];
    if voices.iter().any(|voice| voice.profile != first.profile) {
        return Err(usage(
            "These voices belong to different profiles.",
            "Mix voices of one profile.",
        ));
    }
    let writer = ctx.studio.models.writer(ctx, Some(&first.model))?;
    let sources = parts
        .iter()
        .map(|part| adapter_source(ctx, &writer, part))
        .collect::<Result<Vec<AdapterSource>, _>>()?;
    let lora = writer.model.stacked(&sources).told()?;
    let id = ctx.studio.store.fresh_adapter_id().told()?;
    lora.save(
        &ctx.studio.unfinished_dir(&id),
        writer.model.config(),
        &writer.file.id,
    )
    .told()?;
    let shares: Vec<String> = (voices.iter().zip(parts))
        .map(|(voice, part)| format!("{:.0} % of “{}”", part.scale * 100.0, voice.name))
        .collect();
    let shares = shares.join(" and ");
    let voice = Adapter {
        parents: voices.iter().map(|voice| voice.id.clone()).collect(),
        imported: Some(format!("Mixed from {shares}")),
        ..voice_of(
            &id,
            &first.profile,
            name.unwrap_or_else(|| shares.chars().take(80).collect()),
            &writer,
            &lora,
            first.method.clone(),
        )
    };
    keep(ctx, &voice)
}

fn voice_of(
    id: &AdapterId,
    profile: &ProfileId,
    name: String,
    writer: &Writer,
    lora: &LoraWeights,
    method: Method,
) -> Adapter {
    Adapter {
        id: id.clone(),
        profile: profile.clone(),
        name,
        model: writer.file.id.clone(),
        model_sha256: writer.file.sha256.clone(),
        run: None,
        objective: None,
        method,
        samples: Vec::new(),
        samples_gone: 0,
        votes: Vec::new(),
        votes_gone: 0,
        drafts: Vec::new(),
        drafts_gone: 0,
        parents: Vec::new(),
        imported: None,
        retired_at: None,
        report: None,
        rank: lora.config().rank as u32,
        alpha: lora.config().alpha,
        base_held_out: None,
        own_held_out: None,
        bytes: 0,
        created_at: String::new(),
    }
}

/// Makes the folder that was written the voice's own, and stores the voice.
fn keep(ctx: &Ctx, voice: &Adapter) -> Result<Response, UserError> {
    let dir = ctx.studio.adapter_dir(&voice.id);
    fs::rename(ctx.studio.unfinished_dir(&voice.id), &dir)
        .map_err(LlmError::from)
        .told()?;
    let bytes = fs::metadata(dir.join(WEIGHTS_FILE)).map_or(0, |m| m.len());
    let adapter = ctx.studio.store.insert_adapter(&Adapter {
        bytes,
        ..voice.clone()
    });
    Ok(Response::Adapter {
        adapter: adapter.told()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_a_voice_is_told_from_what_cannot() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            path
        };
        let peft = (folder.path().to_owned(), "a PEFT folder");
        assert_eq!(source_of(folder.path()).unwrap(), peft);
        assert_eq!(source_of(&path(WEIGHTS_FILE, b"x")).unwrap(), peft);
        let gguf = path("v.gguf", b"GGUF\x03");
        assert_eq!(source_of(&gguf).unwrap(), (gguf, "a GGUF adapter"));
        for wrong in [path("empty", b""), path("text.gguf", b"Dear Ann")] {
            assert_eq!(
                source_of(&wrong).unwrap_err().code,
                ErrorCode::UnsupportedFile
            );
        }
        assert!(source_of(&folder.path().join("gone")).is_err());
    }
}
