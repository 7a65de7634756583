//! How serde types become columns: whole values as JSON text, unit variants as bare words.

use rusqlite::{
    Error,
    types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef},
};
use serde::{Serialize, de::DeserializeOwned};

/// A value stored as JSON text.
pub(crate) struct Json<T>(pub T);

/// A unit variant (or anything serde writes as one string) stored as that string, unquoted.
pub(crate) struct Word<T>(pub T);

/// Says where JSON was unreadable but never what it said: it holds the person's text.
#[derive(Debug, thiserror::Error)]
#[error("a stored value has an unknown shape ({0:?}, column {1})")]
struct Unreadable(serde_json::error::Category, usize);

impl From<serde_json::Error> for Unreadable {
    fn from(error: serde_json::Error) -> Self {
        Self(error.classify(), error.column())
    }
}

/// A value that would not come back: a number that is not finite.
#[derive(Debug, thiserror::Error)]
#[error("a value cannot be stored because it would not read back (is a number not finite?)")]
struct WouldNotReadBack;

fn not_stored<E>(_: E) -> Error {
    Error::ToSqlConversionFailure(Box::new(WouldNotReadBack))
}

impl<T: Serialize + DeserializeOwned> ToSql for Json<&T> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let text = serde_json::to_string(self.0).map_err(not_stored)?;
        // serde_json writes NaN as null; refusing it here beats a row that can never be read.
        serde_json::from_str::<T>(&text).map_err(not_stored)?;
        Ok(text.into())
    }
}

impl<T: DeserializeOwned> FromSql for Json<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        serde_json::from_str(value.as_str()?)
            .map(Json)
            .map_err(|e| FromSqlError::Other(Box::new(Unreadable::from(e))))
    }
}

impl<T: Serialize> ToSql for Word<&T> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match serde_json::to_value(self.0) {
            Ok(serde_json::Value::String(word)) => Ok(word.into()),
            other => Err(not_stored(other)),
        }
    }
}

impl<T: DeserializeOwned> FromSql for Word<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let word = serde_json::Value::String(value.as_str()?.to_owned());
        serde_json::from_value(word)
            .map(Word)
            .map_err(|e| FromSqlError::Other(Box::new(Unreadable::from(e))))
    }
}
