//! The window's types, generated from the requests and events: one TypeScript file, declarations sorted by name.

use std::{
    any::TypeId,
    collections::{BTreeMap, HashSet},
};

use ts_rs::{Config, TS, TypeVisitor};

use super::{Event, Request};

/// What `ui/src/lib/generated/bindings.ts` must hold; a test fails when it does not.
pub fn typescript() -> String {
    // Counts and byte sizes stay far below 2^53, so a plain number carries them.
    let config = Config::new().with_large_int("number");
    let mut collect = Collect {
        config: &config,
        seen: HashSet::new(),
        declarations: BTreeMap::new(),
    };
    collect.visit::<Request>();
    collect.visit::<Event>();
    let mut file = String::from(
        "// Generated from the Rust types by `cargo xtask codegen`; a test fails when this file is stale.\n",
    );
    for declaration in collect.declarations.values() {
        file.push_str("\nexport ");
        file.push_str(declaration);
        file.push('\n');
    }
    file
}

struct Collect<'a> {
    config: &'a Config,
    seen: HashSet<TypeId>,
    declarations: BTreeMap<String, String>,
}

impl TypeVisitor for Collect<'_> {
    fn visit<T: TS + 'static + ?Sized>(&mut self) {
        if !self.seen.insert(TypeId::of::<T>()) {
            return;
        }
        // Only types of our own have a file to go to; the others are written out where they are used.
        if T::output_path().is_some() {
            self.declarations
                .insert(T::ident(self.config), T::decl(self.config));
        }
        T::visit_dependencies(self);
        T::visit_generics(self);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_that_is_named_is_declared() {
        let file = typescript();
        for name in [
            "Request",
            "Event",
            "Response",
            "Reading",
            "Tally",
            "FileTicket",
            "Interval",
            "UserError",
        ] {
            assert!(
                file.contains(&format!("export type {name} =")),
                "{name} is not declared"
            );
        }
        assert!(
            !file.contains("bigint"),
            "a page cannot send or read a bigint as JSON"
        );
    }

    #[test]
    fn typescript_bindings_are_current() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../ui/src/lib/generated/bindings.ts"
        );
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        if std::env::var_os("IDIOLECT_UPDATE").is_some() {
            std::fs::write(path, typescript()).unwrap();
            return;
        }
        assert!(
            committed == typescript(),
            "bindings.ts is stale: run `cargo xtask codegen` and commit it"
        );
    }
}
