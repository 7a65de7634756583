//! What the person set, applied over what was inferred.

use idiolect_core::{
    reading::{Reading, ReadingStatus},
    space::{Dimension, space},
};

use super::aggregate::blank;

/// What the person set on a dimension, kept apart from inference.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// Dimension id.
    pub dimension: String,
    /// Their own score, −1…1.
    pub score: Option<f64>,
    /// The object they filled in, where the dimension needs one.
    pub object: Option<String>,
}

/// What the person says of themselves and allows.
#[derive(Debug, Clone, Copy, Default)]
pub struct Person<'a> {
    /// Whether sensitive dimensions may be inferred and shown.
    pub sensitive: bool,
    /// Their own description of themselves; empty when none.
    pub self_description: &'a str,
    /// What they set.
    pub settings: &'a [Setting],
}

/// The 90 readings before anything was inferred, settings applied.
pub fn unread(person: &Person<'_>) -> Vec<Reading> {
    present(&[], person)
}

/// Stored readings under today's settings: overrides, objects and the sensitive switch. Infers nothing; always 90, in
/// order, whatever was stored.
pub fn present(stored: &[Reading], person: &Person<'_>) -> Vec<Reading> {
    space()
        .iter()
        .map(|dimension| {
            let inferred = stored
                .iter()
                .find(|r| r.id == dimension.id)
                .cloned()
                .unwrap_or_else(|| Reading {
                    note: "Not read yet.".to_owned(),
                    ..blank(dimension)
                });
            let setting = person.settings.iter().find(|s| s.dimension == dimension.id);
            apply(dimension, inferred, setting, person.sensitive)
        })
        .collect()
}

fn apply(
    dimension: &Dimension,
    inferred: Reading,
    setting: Option<&Setting>,
    sensitive: bool,
) -> Reading {
    let override_score = setting
        .and_then(|s| s.score)
        .filter(|s| s.is_finite())
        .map(|s| s.clamp(-1.0, 1.0));
    let object = setting
        .and_then(|s| s.object.clone())
        .filter(|o| !o.trim().is_empty());
    let mut reading = if dimension.sensitive && !sensitive {
        Reading {
            status: ReadingStatus::Off,
            note: "Sensitive: neither inferred nor shown until you turn it on.".to_owned(),
            ..blank(dimension)
        }
    } else if dimension.needs_object {
        let (status, note) = match &object {
            None => (
                ReadingStatus::NeedsObject,
                "Say of what, then set where you stand.",
            ),
            Some(_) => (
                ReadingStatus::NotEnoughEvidence,
                "Texts are not read for this; set where you stand.",
            ),
        };
        Reading {
            status,
            note: note.to_owned(),
            ..blank(dimension)
        }
    } else if inferred.status == ReadingStatus::Off {
        Reading {
            note: "Turned on since the last reading; read again.".to_owned(),
            ..blank(dimension)
        }
    } else {
        inferred
    };
    reading.object = object;
    reading.override_score = override_score;
    reading.direction = match (override_score, reading.status) {
        (Some(0.0), _) => 0,
        (Some(score), _) => score.signum() as i8,
        (None, ReadingStatus::Known) => inferred_direction(&reading),
        (None, _) => 0,
    };
    reading
}

fn inferred_direction(reading: &Reading) -> i8 {
    if reading.interval.low > 0.0 {
        1
    } else if reading.interval.high < 0.0 {
        -1
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use idiolect_core::Interval;

    fn known(id: &str) -> Reading {
        let d = idiolect_core::space::find(id).unwrap();
        Reading {
            status: ReadingStatus::Known,
            score: 0.6,
            interval: Interval::new(0.2, 0.8),
            direction: 1,
            ..blank(d)
        }
    }

    #[test]
    fn an_override_comes_before_inference_and_goes_again() {
        let set = [Setting {
            dimension: "extraversion".into(),
            score: Some(-0.4),
            object: None,
        }];
        let person = Person {
            settings: &set,
            ..Person::default()
        };
        let stored = [known("extraversion")];
        let r = &present(&stored, &person)[3];
        assert_eq!((r.effective_score(), r.direction), (-0.4, -1));
        assert_eq!(r.score, 0.6, "inference stays visible beside it");
        let again = &present(std::slice::from_ref(r), &Person::default())[3];
        assert_eq!(
            (again.effective_score(), again.direction),
            (0.6, 1),
            "presenting a presented reading without the setting brings inference back"
        );
    }

    #[test]
    fn sensitive_and_objectless_dimensions_stay_shut() {
        let stored = [known("neuroticism"), known("food_preference")];
        let off = present(&stored, &Person::default());
        assert_eq!(off[2].status, ReadingStatus::Off);
        assert_eq!((off[2].score, off[2].effective_score()), (0.0, 0.0));
        assert_eq!(off[7].status, ReadingStatus::NeedsObject);
        let on = present(
            &stored,
            &Person {
                sensitive: true,
                ..Person::default()
            },
        );
        assert_eq!(on[2].status, ReadingStatus::Known);
        let reopened = present(
            &off,
            &Person {
                sensitive: true,
                ..Person::default()
            },
        );
        assert_eq!(
            reopened[2].status,
            ReadingStatus::NotEnoughEvidence,
            "what was never read is not known by turning it on"
        );
        assert_eq!(unread(&Person::default()).len(), 90);
    }
}
