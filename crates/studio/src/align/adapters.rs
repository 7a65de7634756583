//! Trained voices as things: listed, renamed, deleted, and their folders.

use idiolect_core::{
    UserError,
    ids::{AdapterId, ProfileId},
};

use crate::{
    Inner,
    api::{Gone, Response},
    context::Ctx,
    errors::{Told, usage},
    profiles::words,
};

/// Begins the name of a folder that is being written.
const UNFINISHED: &str = ".new-";
/// Longer than writing a trained voice ever takes.
const STALE: std::time::Duration = std::time::Duration::from_secs(3600);

pub(crate) fn adapters(ctx: &mut Ctx, profile: &ProfileId) -> Result<Response, UserError> {
    ctx.studio.store.profile(profile).told()?;
    Ok(Response::Adapters {
        adapters: ctx.studio.store.adapters(profile).told()?,
    })
}

pub(crate) fn show(ctx: &mut Ctx, adapter: &AdapterId) -> Result<Response, UserError> {
    Ok(Response::Adapter {
        adapter: ctx.studio.store.adapter(adapter).told()?,
    })
}

pub(crate) fn rename(
    ctx: &mut Ctx,
    adapter: &AdapterId,
    name: &str,
) -> Result<Response, UserError> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > 80 {
        return Err(usage(
            "A name has between 1 and 80 letters.",
            "Type another one.",
        ));
    }
    Ok(Response::Adapter {
        adapter: ctx.studio.store.rename_adapter(adapter, name).told()?,
    })
}

/// Puts it away or takes it back.
pub(crate) fn retire(
    ctx: &mut Ctx,
    adapter: &AdapterId,
    retired: bool,
) -> Result<Response, UserError> {
    Ok(Response::Adapter {
        adapter: ctx.studio.store.retire_adapter(adapter, retired).told()?,
    })
}

pub(crate) fn delete(ctx: &mut Ctx, adapter: &AdapterId) -> Result<Response, UserError> {
    let found = ctx.studio.store.adapter(adapter).told()?;
    let derived = ctx.studio.store.delete_adapter(adapter).told()?;
    remove_files(ctx.studio, adapter);
    Ok(Response::Gone {
        gone: Gone {
            what: format!("The trained voice “{}” is deleted.", found.name),
            derived: words(&derived),
            ..Gone::default()
        },
    })
}

/// Removes what a process that was killed while it wrote a trained voice left behind. What lies there for less than
/// [`STALE`] may still be in the making elsewhere.
pub(crate) fn sweep(home: &std::path::Path) {
    let entries = std::fs::read_dir(home.join("adapters"));
    for entry in entries.into_iter().flatten().flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(UNFINISHED);
        let age = entry
            .metadata()
            .and_then(|m| m.modified())
            .ok()
            .and_then(|at| at.elapsed().ok());
        if ours && age.is_some_and(|age| age > STALE) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Removes an adapter's folder after its row is gone. A folder that stays behind holds no text and does no harm.
pub(crate) fn remove_files(studio: &Inner, adapter: &AdapterId) {
    let _ = std::fs::remove_dir_all(studio.adapter_dir(adapter));
}

impl Inner {
    /// Where an adapter's files lie.
    pub(crate) fn adapter_dir(&self, id: &AdapterId) -> std::path::PathBuf {
        self.home.join("adapters").join(id.as_str())
    }

    /// Where they lie while they are being written.
    pub(super) fn unfinished_dir(&self, id: &AdapterId) -> std::path::PathBuf {
        self.home
            .join("adapters")
            .join(format!("{UNFINISHED}{}", id.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_unfinished_folders_are_swept() {
        let home = tempfile::tempdir().unwrap();
        let folder = |name: &str, old: bool| {
            let path = home.path().join("adapters").join(name);
            std::fs::create_dir_all(&path).unwrap();
            if old {
                let long_ago = std::time::SystemTime::now() - 2 * STALE;
                std::fs::File::open(&path)
                    .and_then(|f| f.set_modified(long_ago))
                    .unwrap();
            }
            path
        };
        let (left, new, kept) = (
            folder(".new-a-1", true),
            folder(".new-a-2", false),
            folder("a-3", true),
        );
        sweep(home.path());
        assert!(!left.exists(), "left behind by a process that was killed");
        assert!(new.exists(), "perhaps being written now");
        assert!(kept.exists(), "a trained voice");
    }
}
