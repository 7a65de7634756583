//! Threads that wait for the next piece of work awake.
//!
//! A drawn token takes some hundred products of some ten microseconds each. Waking a sleeping thread takes as long as one of
//! them, so a team's threads look for work for a while before they go to sleep. A thread that is asleep, or that the
//! system runs something else on, is not waited for: whoever is there shares the work out, down to the caller alone.

use std::{
    cell::{Cell, UnsafeCell},
    hint::spin_loop,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rayon::prelude::*;

use crate::slices::SharedOutput;

/// How long a thread looks for work before it sleeps: longer than drawing a token takes, shorter than a person notices.
const AWAKE: Duration = Duration::from_micros(500);
/// Looks between two looks at the clock.
const LOOKS: u32 = 64;

/// Whether threads may join the work at hand.
const OPEN: u64 = 1 << 63;
/// Number of the work, so that a thread joins each once.
const NUMBER: u64 = ((1 << 31) - 1) << 32;
/// Threads that are at it.
const JOINED: u64 = (1 << 32) - 1;

/// A piece of work, cut into numbered tasks.
struct Work {
    /// Valid while the gate is open or threads are joined.
    run: *const (dyn Fn(usize) + Sync),
    tasks: usize,
}

struct Shared {
    /// [`OPEN`], [`NUMBER`] and [`JOINED`] in one word.
    gate: AtomicU64,
    /// Written by the thread that holds the team's turn, while the gate is closed and nobody is joined.
    work: UnsafeCell<Work>,
    next: AtomicUsize,
    panicked: AtomicBool,
    sleepers: AtomicUsize,
    ended: AtomicBool,
    bed: Mutex<()>,
    wake: Condvar,
}

// SAFETY: `work` is read only between joining an open gate and leaving it, and written only outside of that time.
unsafe impl Sync for Shared {}
// SAFETY: the pointer in it is to something `Sync`, used as above.
unsafe impl Send for Shared {}

/// A fixed number of threads, the caller's own among them.
pub struct Team {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// One piece of work at a time.
    turn: Mutex<()>,
}

impl std::fmt::Debug for Team {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Team({})", self.size())
    }
}

thread_local! {
    static CURRENT: Cell<*const Team> = const { Cell::new(std::ptr::null()) };
    static IN_TASK: Cell<bool> = const { Cell::new(false) };
}

/// Puts a thread's value back when it goes.
struct Restore<T: Copy + 'static>(&'static std::thread::LocalKey<Cell<T>>, T);

impl<T: Copy> Restore<T> {
    fn set(key: &'static std::thread::LocalKey<Cell<T>>, value: T) -> Self {
        Self(key, key.replace(value))
    }
}

impl<T: Copy> Drop for Restore<T> {
    fn drop(&mut self) {
        self.0.set(self.1);
    }
}

impl Team {
    /// A team of `size` threads (at least one), the caller's included.
    ///
    /// # Errors
    /// When the system starts no more threads.
    pub fn new(size: usize) -> std::io::Result<Self> {
        let nothing: &(dyn Fn(usize) + Sync) = &|_| {};
        let shared = Arc::new(Shared {
            gate: AtomicU64::new(0),
            work: UnsafeCell::new(Work {
                run: nothing,
                tasks: 0,
            }),
            next: AtomicUsize::new(0),
            panicked: AtomicBool::new(false),
            sleepers: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
            bed: Mutex::new(()),
            wake: Condvar::new(),
        });
        let mut team = Self {
            shared,
            threads: Vec::new(),
            turn: Mutex::new(()),
        };
        for i in 1..size {
            let shared = Arc::clone(&team.shared);
            let thread = std::thread::Builder::new()
                .name(format!("team-{i}"))
                .spawn(move || shared.serve())?;
            team.threads.push(thread);
        }
        Ok(team)
    }

    /// How many threads there are.
    pub fn size(&self) -> usize {
        self.threads.len() + 1
    }

    /// Calls `work`; what it computes with this crate is shared among the team's threads.
    pub fn install<R>(&self, work: impl FnOnce() -> R) -> R {
        let _restore = Restore::set(&CURRENT, std::ptr::from_ref(self));
        work()
    }

    /// Calls `run` with every number below `tasks`.
    fn run(&self, tasks: usize, run: &(dyn Fn(usize) + Sync)) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = &*self.shared;
        // SAFETY: the gate is closed and nobody is joined, or the last call would not have ended; the lifetime is made
        // longer, but this call ends only after everybody has left.
        unsafe {
            *shared.work.get() = Work {
                run: std::mem::transmute::<
                    *const (dyn Fn(usize) + Sync + '_),
                    *const (dyn Fn(usize) + Sync + 'static),
                >(run),
                tasks,
            };
        }
        shared.next.store(0, Ordering::Relaxed);
        let number = (shared.gate.load(Ordering::Relaxed).wrapping_add(1 << 32)) & NUMBER;
        shared.gate.store(OPEN | number, Ordering::SeqCst);
        if shared.sleepers.load(Ordering::SeqCst) > 0 {
            let _bed = shared.bed.lock().unwrap_or_else(PoisonError::into_inner);
            shared.wake.notify_all();
        }
        let own = catch_unwind(AssertUnwindSafe(|| shared.work_off(run, tasks)));
        shared.gate.fetch_and(!OPEN, Ordering::SeqCst);
        let mut looks = 0_u32;
        while shared.gate.load(Ordering::Acquire) & JOINED != 0 {
            looks += 1;
            // The one waited for may need this very processor.
            if looks.is_multiple_of(1 << 12) {
                std::thread::yield_now();
            }
            spin_loop();
        }
        let elsewhere = shared.panicked.swap(false, Ordering::Relaxed);
        match own {
            Err(panic) => resume_unwind(panic),
            Ok(()) => assert!(!elsewhere, "a task failed on another thread of the team"),
        }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        {
            let _bed = self
                .shared
                .bed
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            self.shared.wake.notify_all();
        }
        for thread in self.threads.drain(..) {
            // A panic of a task was told where the work was given.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn work_off(&self, run: &(dyn Fn(usize) + Sync), tasks: usize) {
        let _restore = Restore::set(&IN_TASK, true);
        loop {
            let task = self.next.fetch_add(1, Ordering::Relaxed);
            if task >= tasks {
                return;
            }
            run(task);
        }
    }

    /// A thread's life.
    fn serve(&self) {
        let mut last = 0;
        while let Some(gate) = self.wait(last) {
            let joined =
                self.gate
                    .compare_exchange(gate, gate + 1, Ordering::AcqRel, Ordering::Relaxed);
            if joined.is_err() {
                continue;
            }
            last = gate & NUMBER;
            // SAFETY: joined, so the work stays as it is until this thread leaves.
            let work = unsafe { &*self.work.get() };
            // SAFETY: as above; it is valid while somebody is joined.
            let run = unsafe { &*work.run };
            if catch_unwind(AssertUnwindSafe(|| self.work_off(run, work.tasks))).is_err() {
                self.panicked.store(true, Ordering::Relaxed);
            }
            self.gate.fetch_sub(1, Ordering::Release);
        }
    }

    /// The gate once it is open for another work than `last`; `None` when the team is no more.
    fn wait(&self, last: u64) -> Option<u64> {
        let mut since = Instant::now();
        let news = |order| {
            let gate = self.gate.load(order);
            (gate & OPEN != 0 && gate & NUMBER != last).then_some(gate)
        };
        loop {
            for _ in 0..LOOKS {
                if let Some(gate) = news(Ordering::Acquire) {
                    return Some(gate);
                }
                spin_loop();
            }
            if self.ended.load(Ordering::Relaxed) {
                return None;
            }
            if since.elapsed() > AWAKE {
                let mut bed = self.bed.lock().unwrap_or_else(PoisonError::into_inner);
                self.sleepers.fetch_add(1, Ordering::SeqCst);
                while news(Ordering::SeqCst).is_none() && !self.ended.load(Ordering::SeqCst) {
                    bed = self.wake.wait(bed).unwrap_or_else(PoisonError::into_inner);
                }
                self.sleepers.fetch_sub(1, Ordering::SeqCst);
                since = Instant::now();
            }
        }
    }
}

/// Calls `work` with every number below `tasks`, on the team of this thread or else on rayon's threads. Within a task, one
/// after another.
pub(crate) fn for_each(tasks: usize, work: impl Fn(usize) + Sync + Send) {
    if tasks <= 1 || IN_TASK.get() {
        return (0..tasks).for_each(work);
    }
    // SAFETY: `install` borrows the team for as long as the pointer is set.
    match unsafe { CURRENT.get().as_ref() } {
        Some(team) if team.threads.is_empty() => (0..tasks).for_each(work),
        Some(team) => team.run(tasks, &work),
        None => (0..tasks).into_par_iter().for_each(work),
    }
}

/// How many threads [`for_each`] shares work among.
pub(crate) fn threads() -> usize {
    // SAFETY: as in `for_each`.
    match unsafe { CURRENT.get().as_ref() } {
        Some(team) => team.size(),
        None => rayon::current_num_threads(),
    }
}

/// Calls `work` with where each piece of `size` values of `y` begins, and the piece.
pub(crate) fn for_each_piece(
    y: &mut [f32],
    size: usize,
    work: impl Fn(usize, &mut [f32]) + Sync + Send,
) {
    let length = y.len();
    let output = SharedOutput::new(y, length);
    for_each(length.div_ceil(size.max(1)), |task| {
        let start = task * size;
        // SAFETY: pieces do not overlap.
        work(start, unsafe {
            output.part(0, start, size.min(length - start))
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_is_done_once_by_teams_of_any_size() {
        for size in [1, 2, 3, 7] {
            let team = Team::new(size).unwrap();
            for tasks in [0, 1, 2, 5, 100] {
                let done: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
                for _ in 0..20 {
                    team.install(|| {
                        for_each(tasks, |task| {
                            done[task].fetch_add(1, Ordering::Relaxed);
                        });
                    });
                }
                assert!(done.iter().all(|n| n.load(Ordering::Relaxed) == 20));
            }
        }
    }

    #[test]
    fn sleeping_threads_are_woken_and_not_needed() {
        let team = Team::new(3).unwrap();
        for _ in 0..5 {
            std::thread::sleep(AWAKE * 4);
            let sum = AtomicUsize::new(0);
            team.install(|| {
                for_each(50, |task| {
                    sum.fetch_add(task, Ordering::Relaxed);
                });
            });
            assert_eq!(sum.into_inner(), 49 * 50 / 2);
        }
    }

    #[test]
    fn work_within_work_runs_in_place() {
        let team = Team::new(2).unwrap();
        let sum = AtomicUsize::new(0);
        team.install(|| {
            for_each(4, |_| {
                for_each(4, |task| {
                    sum.fetch_add(task, Ordering::Relaxed);
                });
            });
        });
        assert_eq!(sum.into_inner(), 4 * 6);
    }

    #[test]
    fn a_failing_task_is_told_and_the_team_goes_on() {
        let team = Team::new(2).unwrap();
        for failing in [0, 31] {
            let result = catch_unwind(AssertUnwindSafe(|| {
                team.install(|| for_each(32, |task| assert_ne!(task, failing, "made to fail")));
            }));
            assert!(result.is_err());
            let sum = AtomicUsize::new(0);
            team.install(|| {
                for_each(8, |task| {
                    sum.fetch_add(task, Ordering::Relaxed);
                });
            });
            assert_eq!(sum.into_inner(), 28, "afterwards");
        }
    }

    #[test]
    fn callers_from_several_threads_take_turns() {
        let team = Team::new(2).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let sum = AtomicUsize::new(0);
                        team.install(|| {
                            for_each(9, |task| {
                                sum.fetch_add(task, Ordering::Relaxed);
                            });
                        });
                        assert_eq!(sum.into_inner(), 36);
                    }
                });
            }
        });
    }
}
