//! The low-rank term: levels against the reference, gradients against differences, the same bits on any number of threads.

mod common;

use idiolect_kernels::{DropoutMask, Level, Lora, Team, lora_backward, lora_forward};

use common::values;

/// Against the reference, relative to values of about one: f32 sums of some hundred terms in another order.
const TOLERANCE: f32 = 2e-5;
/// Central differences in f32 of a loss of some tens, by a step of a hundredth.
const DIFFERENCE_TOLERANCE: f64 = 2e-2;

struct Case {
    m: usize,
    inputs: usize,
    outputs: usize,
    rank: usize,
    dropout: Option<DropoutMask>,
    x: Vec<f32>,
    dy: Vec<f32>,
    a: Vec<f32>,
    b: Vec<f32>,
}

#[derive(PartialEq, Debug)]
struct Outcome {
    inner: Vec<f32>,
    y: Vec<f32>,
    da: Vec<f32>,
    db: Vec<f32>,
    dx: Vec<f32>,
}

impl Case {
    fn new(m: usize, inputs: usize, outputs: usize, rank: usize, dropout: f32) -> Self {
        Self {
            m,
            inputs,
            outputs,
            rank,
            dropout: (dropout > 0.0).then(|| DropoutMask::new(dropout, &[7, m as u64])),
            x: values(m * inputs, 1),
            dy: values(m * outputs, 2),
            a: values(rank * inputs, 3).iter().map(|a| a / 8.0).collect(),
            b: values(outputs * rank, 4).iter().map(|b| b / 8.0).collect(),
        }
    }

    fn lora<'a>(&'a self, a: &'a [f32], b: &'a [f32]) -> Lora<'a> {
        Lora {
            a,
            b,
            rank: self.rank,
            scale: 1.5,
            dropout: self.dropout,
        }
    }

    /// Everything but inner is added to what is there.
    fn run(&self, level: Level) -> Outcome {
        let lora = self.lora(&self.a, &self.b);
        let mut o = Outcome {
            inner: vec![f32::NAN; self.m * self.rank],
            y: values(self.m * self.outputs, 5),
            da: values(self.rank * self.inputs, 6),
            db: values(self.outputs * self.rank, 7),
            dx: values(self.m * self.inputs, 8),
        };
        lora_forward(&lora, &self.x, self.m, &mut o.inner, &mut o.y, level);
        let dx = Some(&mut o.dx[..]);
        lora_backward(
            &lora, &self.x, self.m, &o.inner, &self.dy, &mut o.da, &mut o.db, dx, level,
        );
        o
    }

    fn name(&self) -> String {
        let dropped = self.dropout.map_or("", |_| ", dropout");
        format!(
            "{} x {} to {}, rank {}{dropped}",
            self.m, self.inputs, self.outputs, self.rank
        )
    }
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (m, inputs, outputs, rank) in [
        (1, 64, 48, 8),
        (150, 96, 300, 8),
        (13, 20, 7, 1),
        (49, 36, 530, 16),
        (300, 64, 16, 20),
        (0, 32, 32, 4),
    ] {
        for dropout in [0.0, 0.25] {
            cases.push(Case::new(m, inputs, outputs, rank, dropout));
        }
    }
    cases
}

fn close(found: &[f32], expected: &[f32], what: &str) {
    let largest = expected.iter().fold(1.0_f32, |most, v| most.max(v.abs()));
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!(
            (a - b).abs() <= TOLERANCE * largest,
            "{what}, {i}: {a} for {b}"
        );
    }
}

#[test]
fn levels_agree_with_the_reference() {
    for case in cases() {
        let expected = case.run(Level::Reference);
        for level in Level::available() {
            let found = case.run(level);
            let what = |part: &str| format!("{part} of {} at {}", case.name(), level.name());
            close(&found.inner, &expected.inner, &what("inner"));
            close(&found.y, &expected.y, &what("y"));
            close(&found.da, &expected.da, &what("da"));
            close(&found.db, &expected.db, &what("db"));
            close(&found.dx, &expected.dx, &what("dx"));
        }
    }
}

#[test]
fn gradients_are_the_slopes() {
    for dropout in [0.0, 0.3] {
        let case = Case::new(9, 32, 20, 4, dropout);
        let loss = |x: &[f32], a: &[f32], b: &[f32]| -> f64 {
            let (mut inner, mut y) = (vec![0.0; 9 * 4], vec![0.0; 9 * 20]);
            let lora = case.lora(a, b);
            lora_forward(&lora, x, 9, &mut inner, &mut y, Level::Reference);
            let terms = y.iter().zip(&case.dy);
            terms.map(|(y, dy)| f64::from(*y) * f64::from(*dy)).sum()
        };
        let outcome = case.run(Level::Reference);
        let added = |found: &[f32], seed: u32| -> Vec<f32> {
            let before = values(found.len(), seed);
            found.iter().zip(before).map(|(f, b)| f - b).collect()
        };
        let (dx, da, db) = (
            added(&outcome.dx, 8),
            added(&outcome.da, 6),
            added(&outcome.db, 7),
        );
        let check = |what: &str, at: &[f32], slopes: &[f32], loss: &dyn Fn(&[f32]) -> f64| {
            for i in (0..at.len()).step_by(7) {
                let moved = |by: f32| {
                    let mut at = at.to_vec();
                    at[i] += by;
                    loss(&at)
                };
                let slope = (moved(0.01) - moved(-0.01)) / 0.02;
                assert!(
                    (slope - f64::from(slopes[i])).abs() < DIFFERENCE_TOLERANCE,
                    "{what} {i}: {slope}, {}",
                    slopes[i]
                );
            }
        };
        check("x", &case.x, &dx, &|x| loss(x, &case.a, &case.b));
        check("a", &case.a, &da, &|a| loss(&case.x, a, &case.b));
        check("b", &case.b, &db, &|b| loss(&case.x, &case.a, b));
    }
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    for case in cases() {
        for level in Level::available() {
            let alone = Team::new(1).unwrap().install(|| case.run(level));
            for threads in [2, 3, 5] {
                let team = Team::new(threads).unwrap();
                let shared = team.install(|| case.run(level));
                assert_eq!(shared, alone, "{} at {}", case.name(), level.name());
            }
        }
    }
}

#[test]
fn a_slope_that_is_not_wanted_is_not_needed() {
    let case = Case::new(30, 64, 48, 8, 0.0);
    for level in Level::available() {
        let whole = case.run(level);
        let lora = case.lora(&case.a, &case.b);
        let (mut da, mut db) = (values(8 * 64, 6), values(48 * 8, 7));
        lora_backward(
            &lora,
            &case.x,
            30,
            &whole.inner,
            &case.dy,
            &mut da,
            &mut db,
            None,
            level,
        );
        assert_eq!((da, db), (whole.da, whole.db));
    }
}
