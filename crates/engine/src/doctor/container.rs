//! Header, tensors against the file's size, storage types, architecture, context.

use idiolect_llm::{LlmError, Result};

use super::{Check, FETCH_AGAIN, REFUSED, megabytes, sentence};
use crate::{
    config::Config,
    gguf::{Gguf, Survey, refused_type, shown},
    model::quantization,
};

/// Contexts below this hold a brief and an answer, but no excerpts.
const SHORT_CONTEXT: usize = 1024;
/// No published model was trained on longer ones; beyond, a converter wrote nonsense.
const LONGEST_CONTEXT: usize = 1 << 24;
/// Rotation bases of published models lie between this and a hundred million.
const LEAST_ROPE_BASE: f64 = 1000.0;

pub(super) fn no_header(error: &LlmError) -> Check {
    let next = match error {
        LlmError::Unsupported(_) => {
            "Look for a newer GGUF of the same model (version 3, little-endian)."
        }
        _ => {
            "If it is a model in another format (safetensors, PyTorch), look for its GGUF; else fetch or copy the file again."
        }
    };
    Check::broken("header", sentence(error), REFUSED, next)
}

pub(super) fn checks(survey: &Survey) -> Vec<Check> {
    let gguf = &survey.gguf;
    let name = gguf
        .text("general.name")
        .ok()
        .flatten()
        .unwrap_or("without a name");
    let header = format!(
        "GGUF version {}, “{}”, {} tensors, {}.",
        survey.version,
        shown(name),
        survey.tensors,
        megabytes(gguf.file_bytes())
    );
    vec![
        Check::ok("header", header),
        tensors(survey),
        storage(survey),
    ]
}

fn tensors(survey: &Survey) -> Check {
    let name = "tensors";
    let bytes: usize = survey.gguf.tensors().values().map(|t| t.bytes).sum();
    if let Some(first) = survey.damage.first() {
        let more = match survey.damage.len() - 1 {
            0 => String::new(),
            1 => " One more is wrong, too.".to_owned(),
            n => format!(" {n} more are wrong, too."),
        };
        return Check::broken(name, sentence(first) + &more, REFUSED, FETCH_AGAIN);
    }
    if survey.tensors == 0 {
        let next =
            "This may be a vocabulary or a settings file: look for the one with the weights.";
        return Check::broken(name, "The file holds no tensors.", REFUSED, next);
    }
    // Some writers fill up to a page.
    const FILLING: usize = 1 << 16;
    if survey.unused > FILLING {
        return Check::warning(
            name,
            format!(
                "{} after the last tensor belong to nothing.",
                megabytes(survey.unused)
            ),
            "They are ignored; the tensors themselves are whole.",
            "If the model behaves oddly, fetch the file again.",
        );
    }
    Check::ok(
        name,
        format!(
            "All {} lie within the file and apart from each other, {}.",
            survey.tensors,
            megabytes(bytes)
        ),
    )
}

fn storage(survey: &Survey) -> Check {
    let name = "quantization";
    let Some((tensor, number)) = survey.unknown_types.first() else {
        return Check::ok(name, format!("{}.", quantization(&survey.gguf)));
    };
    let others = match survey.unknown_types.len() - 1 {
        0 => String::new(),
        1 => " and one more".to_owned(),
        n => format!(" and {n} more"),
    };
    let what = refused_type(*number);
    Check::broken(
        name,
        format!(
            "The tensor {}{others} is stored as {what}, which this version does not read.",
            shown(tensor)
        ),
        REFUSED,
        "Look for the same model as Q8_0, Q6_K, Q5_K_M or Q4_K_M.",
    )
}

pub(super) fn architecture(gguf: &Gguf, config: &Result<Config>) -> Check {
    let name = "architecture";
    match config {
        Ok(c) => Check::ok(
            name,
            format!(
                "{}: {} layers, hidden size {}, {} query and {} key heads.",
                c.architecture.name, c.layers, c.hidden, c.heads, c.kv_heads
            ),
        ),
        Err(error @ LlmError::Unsupported(_)) => Check::broken(
            name,
            sentence(error),
            REFUSED,
            "`idiolect models list` shows models that run.",
        ),
        Err(error) => {
            let next = if gguf.tensors().is_empty() {
                "Mend what is wrong with the tensors first."
            } else {
                "The file was converted wrongly or damaged: look for another GGUF of the same model."
            };
            Check::broken(name, sentence(error), REFUSED, next)
        }
    }
}

pub(super) fn context(gguf: &Gguf, config: &Config) -> Check {
    let name = "context";
    let key = |what: &str| format!("{}.{what}", config.architecture.name);
    let number = |what: &str| gguf.number(&key(what)).ok().flatten();
    let found = format!(
        "{} tokens; all of them take {} of cache.",
        config.context,
        megabytes(
            config
                .context
                .saturating_mul(config.cache_bytes_per_token())
        )
    );
    if config.context > LONGEST_CONTEXT {
        return Check::warning(
            name,
            format!("It claims a context of {} tokens.", config.context),
            "No model was trained on as many; far below that its answers fall apart.",
            "Keep prompts to what its makers say it was trained on.",
        );
    }
    if config.context < SHORT_CONTEXT {
        return Check::warning(
            name,
            found,
            "Excerpts of your texts are left out of prompts that do not fit, and each draft says so.",
            "Use a model with a longer context for writing in your voice.",
        );
    }
    if let Some(base) = number("rope.freq_base").filter(|base| *base < LEAST_ROPE_BASE) {
        return Check::warning(
            name,
            format!("Its positions turn with the base {base}, which no published model uses."),
            "If that is a mistake of the converter, longer prompts make no sense to it.",
            "Compare with its makers' configuration (rope_theta), or look for another GGUF.",
        );
    }
    let original = number("rope.scaling.original_context_length");
    if let Some(original) = original.filter(|n| *n > config.context as f64) {
        return Check::warning(
            name,
            format!(
                "It was trained on {original} tokens and claims only {}.",
                config.context
            ),
            "The shorter one is kept to.",
            "Nothing has to be done; a GGUF of another converter may allow more.",
        );
    }
    Check::ok(name, found)
}
