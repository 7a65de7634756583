//! Settings: named JSON values; what they mean is the caller's.

use rusqlite::{OptionalExtension, params};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Store, error::Result, value::Json};

impl Store {
    /// The setting with this name; `None` where it was never stored.
    ///
    /// # Errors
    /// `Internal` where what is stored has another shape.
    pub fn setting<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        self.read(|tx| {
            Ok(tx
                .prepare_cached("SELECT value FROM settings WHERE name = ?1")?
                .query_row([name], |row| row.get::<_, Json<T>>(0))
                .optional()?
                .map(|json| json.0))
        })
    }

    /// Stores a setting.
    ///
    /// # Errors
    /// Any of [`crate::StoreError`]'s for a write.
    pub fn set_setting<T: Serialize + DeserializeOwned>(
        &self,
        name: &str,
        value: &T,
    ) -> Result<()> {
        self.write(|tx| {
            tx.execute(
                "INSERT INTO settings (name, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value",
                params![name, Json(value)],
            )?;
            Ok(())
        })
    }

    /// Forgets a setting; says whether there was one.
    ///
    /// # Errors
    /// Any of [`crate::StoreError`]'s for a write.
    pub fn clear_setting(&self, name: &str) -> Result<bool> {
        self.write(|tx| Ok(tx.execute("DELETE FROM settings WHERE name = ?1", [name])? > 0))
    }
}
