//! Threads that stay together for a whole pass.
//!
//! A pass is hundreds of short pieces of parallel work, and a thread that has gone to sleep between
//! two of them takes longer to wake up than many of them last. So for the time of a pass all threads
//! of the pool form a team: one leads, the others watch for work that it shares out, and lend the
//! pool a hand while there is none.

use std::cell::{Cell, UnsafeCell};
use std::hint::spin_loop;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rayon::prelude::*;

/// Looks for work before a thread lets others have its processor.
const LOOKS: usize = 4096;

/// Runs `lead` with all other threads of the current pool at its side: what kernels share out
/// meanwhile needs no thread to be woken up. Outside of a pool's threads, and where a team is at work
/// already, it just runs.
pub fn together<R: Send>(lead: impl FnOnce() -> R + Send) -> R {
    let (threads, me) = (rayon::current_num_threads(), rayon::current_thread_index());
    let Some(me) = me.filter(|_| threads > 1 && TEAM.get().is_null()) else { return lead() };
    let team = &Team::new(threads, me);
    rayon::scope(|scope| {
        (1..threads).for_each(|member| scope.spawn(move |_| team.help(member)));
        let _over = Over(team);
        let _led = Led::begin(team);
        lead()
    })
}

/// Hands out `items`, each with a state that no other item uses meanwhile, as long as there are any.
pub fn deal<S: Send, T: Send>(states: &mut [S], items: Vec<T>, f: impl Fn(&mut S, T) + Sync) {
    let states: Vec<Mutex<&mut S>> = states.iter_mut().map(Mutex::new).collect();
    let items = Mutex::new(items.into_iter());
    // After a panic the rest is left undone: the panic goes on.
    let next = || items.lock().ok()?.next();
    share(states.len(), |i| {
        let Ok(mut state) = states[i].lock() else { return };
        while let Some(item) = next() {
            f(&mut state, item);
        }
    });
}

/// Tasks of the largest piece of work that this thread has shared out since it last asked.
pub fn tasks_shared() -> usize {
    LARGEST.replace(0)
}

/// Threads among which work that begins here is shared.
pub(crate) fn threads() -> usize {
    if INSIDE.get() { 1 } else { rayon::current_num_threads() }
}

/// Runs `f(0) .. f(count - 1)` on all threads.
pub(crate) fn share(count: usize, f: impl Fn(usize) + Sync) {
    if INSIDE.get() {
        return (0..count).for_each(f);
    }
    LARGEST.set(LARGEST.get().max(count));
    // SAFETY: set by `together` for as long as the team lives, on the leader's thread alone.
    match unsafe { TEAM.get().as_ref() } {
        Some(team) => team.run(count, &f),
        None => (0..count).into_par_iter().with_max_len(1).for_each(&f),
    }
}

thread_local! {
    /// The team that this thread leads and that waits for work.
    static TEAM: Cell<*const Team> = const { Cell::new(std::ptr::null()) };
    static LARGEST: Cell<usize> = const { Cell::new(0) };
    /// Whether this thread is at a task of a team: what the task shares out stays on the thread.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Work that is shared out: `call(data, 0) .. call(data, count - 1)`.
#[derive(Clone, Copy)]
struct Job {
    call: unsafe fn(*const (), usize),
    data: *const (),
    count: usize,
}

#[repr(align(128))]
struct Counter(AtomicUsize);

struct Team {
    /// The leader's place in the pool.
    leader: usize,
    /// Odd while a job is open.
    round: AtomicUsize,
    /// Members that look at the job.
    busy: AtomicUsize,
    over: AtomicBool,
    job: UnsafeCell<Job>,
    /// Every member begins with a range of its own, so that it finds in its cache what it made
    /// before; these are the next tasks of each.
    next: Box<[Counter]>,
}

// SAFETY: the job is written by the leader alone, while it is closed and nobody is busy; the others
// read it while they are busy and have seen it open (`take_part`).
unsafe impl Sync for Team {}
// SAFETY: as above; the pointer inside is good on every thread.
unsafe impl Send for Team {}

impl Team {
    fn new(threads: usize, leader: usize) -> Team {
        unsafe fn nothing(_: *const (), _: usize) {}
        let next = (0..threads).map(|_| Counter(AtomicUsize::new(0))).collect();
        Team {
            leader,
            round: AtomicUsize::new(0),
            busy: AtomicUsize::new(0),
            over: AtomicBool::new(false),
            job: UnsafeCell::new(Job { call: nothing, data: std::ptr::null(), count: 0 }),
            next,
        }
    }

    /// The first task of a member's range.
    fn start(&self, member: usize, count: usize) -> usize {
        member * count / self.next.len()
    }

    fn run<F: Fn(usize) + Sync>(&self, count: usize, f: &F) {
        unsafe fn call<F: Fn(usize)>(f: *const (), task: usize) {
            // SAFETY: `run` lends an `F` for as long as the job is open or anybody is busy with it.
            unsafe { (*f.cast::<F>())(task) }
        }
        let job = Job { call: call::<F>, data: (f as *const F).cast(), count };
        // SAFETY: no job is open and nobody is busy: `Open` has waited for that.
        unsafe { *self.job.get() = job };
        for (member, next) in self.next.iter().enumerate() {
            next.0.store(self.start(member, count), Ordering::Relaxed);
        }
        let _open = Open::begin(self);
        self.work(0, job);
    }

    /// Tasks of the member's own range, then of the others'.
    fn work(&self, member: usize, job: Job) {
        let _inside = Inside::begin();
        let members = self.next.len();
        for whose in (member..members).chain(0..member) {
            let end = self.start(whose + 1, job.count);
            loop {
                let task = self.next[whose].0.fetch_add(1, Ordering::Relaxed);
                if task >= end {
                    break;
                }
                // SAFETY: the job is open, or this member is counted as busy with it.
                unsafe { (job.call)(job.data, task) };
            }
        }
    }

    /// Works until the team is dismissed.
    fn help(&self, member: usize) {
        // Where the leader waits for something else, the pool may hand it its own team's places.
        if rayon::current_thread_index() == Some(self.leader) {
            return;
        }
        let (mut seen, mut looks) = (0, 0);
        while !self.over.load(Ordering::Acquire) {
            let round = self.round.load(Ordering::Acquire);
            if !round.is_multiple_of(2) && round != seen {
                (seen, looks) = (round, 0);
                self.take_part(member, round);
                continue;
            }
            looks += 1;
            if looks % 64 == 0 {
                rayon::yield_now();
            }
            if looks > LOOKS {
                std::thread::yield_now();
            } else {
                spin_loop();
            }
        }
    }

    fn take_part(&self, member: usize, round: usize) {
        self.busy.fetch_add(1, Ordering::SeqCst);
        let _busy = Busy(self);
        // If the leader closes it now, it will wait.
        if self.round.load(Ordering::SeqCst) == round {
            // SAFETY: open and counted as busy: the leader does not write it.
            self.work(member, unsafe { *self.job.get() });
        }
    }
}

/// While a job is open.
struct Open<'a>(&'a Team);

impl<'a> Open<'a> {
    fn begin(team: &'a Team) -> Open<'a> {
        team.round.fetch_add(1, Ordering::SeqCst);
        Open(team)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.round.fetch_add(1, Ordering::SeqCst);
        let mut looks = 0;
        while self.0.busy.load(Ordering::SeqCst) != 0 {
            looks += 1;
            if looks > LOOKS {
                std::thread::yield_now();
            } else {
                spin_loop();
            }
        }
    }
}

struct Inside(bool);

impl Inside {
    fn begin() -> Inside {
        Inside(INSIDE.replace(true))
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.set(self.0);
    }
}

struct Busy<'a>(&'a Team);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::SeqCst);
    }
}

struct Over<'a>(&'a Team);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Release);
    }
}

struct Led;

impl Led {
    fn begin(team: &Team) -> Led {
        TEAM.set(team);
        Led
    }
}

impl Drop for Led {
    fn drop(&mut self) {
        TEAM.set(std::ptr::null());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(threads: usize) -> rayon::ThreadPool {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool")
    }

    #[test]
    fn every_task_is_done_once_round_after_round() {
        for threads in [1, 2, 3, 8] {
            pool(threads).install(|| {
                together(|| {
                    for count in (0..200).chain([10_000]) {
                        let done: Vec<AtomicUsize> = (0..count).map(|_| 0.into()).collect();
                        share(count, |i| {
                            done[i].fetch_add(1, Ordering::Relaxed);
                        });
                        assert!(done.iter().all(|d| d.load(Ordering::Relaxed) == 1), "{count}");
                    }
                });
            });
        }
    }

    #[test]
    fn work_of_the_pool_and_shares_inside_of_shares_go_on_meanwhile() {
        pool(3).install(|| {
            together(|| {
                let sum: usize = (0..1000_usize).into_par_iter().sum();
                assert_eq!(sum, 499_500);
                let seen = Mutex::new(0);
                share(4, |_| share(5, |_| *seen.lock().expect("no panic") += 1));
                together(|| share(5, |_| *seen.lock().expect("no panic") += 1));
                assert_eq!(seen.into_inner().expect("no panic"), 25);
            });
        });
    }

    #[test]
    fn a_panic_of_any_member_reaches_the_caller_and_the_pool_lives_on() {
        let pool = pool(3);
        for at in 0..6 {
            let run = || pool.install(|| together(|| share(6, |i| assert_ne!(i, at))));
            let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
            assert!(caught.is_err(), "{at}");
        }
        assert_eq!(pool.install(|| together(|| 7)), 7);
    }
}
