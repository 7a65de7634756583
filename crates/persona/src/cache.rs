//! Where finished scores are kept between runs: bytes by key. `studio` puts a table behind it.

use std::{collections::HashMap, sync::Mutex};

use sha2::{Digest, Sha256};

/// Bytes by key. A failed write only costs time, so neither side reports errors here.
pub trait Cache: Send + Sync {
    /// What was put under `key`, if it is still there.
    fn get(&self, key: &str) -> Option<Vec<u8>>;

    /// Keeps `bytes` under `key`.
    fn put(&self, key: &str, bytes: &[u8]);
}

/// Keeps nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCache;

impl Cache for NoCache {
    fn get(&self, _key: &str) -> Option<Vec<u8>> {
        None
    }

    fn put(&self, _key: &str, _bytes: &[u8]) {}
}

/// Keeps everything until it is dropped.
#[derive(Debug, Default)]
pub struct MemoryCache(Mutex<HashMap<String, Vec<u8>>>);

impl Cache for MemoryCache {
    fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.0.lock().ok()?.get(key).cloned()
    }

    fn put(&self, key: &str, bytes: &[u8]) {
        if let Ok(mut map) = self.0.lock() {
            map.insert(key.to_owned(), bytes.to_vec());
        }
    }
}

/// A key of parts: readable where it can be, a hash where a text goes in, so that no private text is in a key.
pub(crate) fn key(
    kind: &str,
    version: &str,
    model: &idiolect_llm::ModelInfo,
    text: &str,
) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let hex: String = digest.iter().take(16).map(|b| format!("{b:02x}")).collect();
    format!("{kind}/{version}/{}-{}/{hex}", model.id, model.file_bytes)
}

/// Numbers as bytes; `NaN` stands for "not scored".
pub(crate) fn to_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// Back again, if there are exactly `n` of them.
pub(crate) fn from_bytes(bytes: &[u8], n: usize) -> Option<Vec<f32>> {
    let (chunks, rest) = bytes.as_chunks::<4>();
    (rest.is_empty() && chunks.len() == n)
        .then(|| chunks.iter().map(|c| f32::from_le_bytes(*c)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_only_when_their_count_is_right() {
        let bytes = to_bytes(&[1.5, -2.0]);
        assert_eq!(from_bytes(&bytes, 2), Some(vec![1.5, -2.0]));
        assert_eq!(
            from_bytes(&bytes, 3),
            None,
            "an entry of another shape is not used"
        );
        assert_eq!(from_bytes(&bytes[..7], 2), None, "a cut entry is not used");
    }

    #[test]
    fn memory_keeps_and_nothing_keeps_nothing() {
        let memory = MemoryCache::default();
        memory.put("a", b"x");
        assert_eq!(memory.get("a").as_deref(), Some(&b"x"[..]));
        NoCache.put("a", b"x");
        assert_eq!(NoCache.get("a"), None);
    }
}
