//! Tests of the simulation itself.

use core::pin::pin;
use core::task::{Context, Poll, Waker};

use super::*;

type Log = Arc<Mutex<Vec<String>>>;

fn note(log: &Log, text: impl Into<String>) {
    log.lock().push(text.into());
}

const SECOND: Duration = Duration::from_secs(1);

/// A future that is pending once, after it has woken itself.
async fn give_way() {
    let mut again = false;
    poll_fn(|context| {
        if core::mem::replace(&mut again, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[test]
fn tasks_run_in_the_order_in_which_they_were_woken() {
    let simulation = Simulation::new(0);
    let log = Log::default();
    for name in ["a", "b", "c"] {
        let log = log.clone();
        simulation.spawn(async move {
            note(&log, format!("{name}1"));
            give_way().await;
            note(&log, format!("{name}2"));
        });
    }
    simulation.run_ready();
    assert_eq!(*log.lock(), ["a1", "b1", "c1", "a2", "b2", "c2"]);
}

#[test]
fn a_task_woken_twice_runs_once() {
    let simulation = Simulation::new(0);
    let polls = Arc::new(Mutex::new(0));
    let counted = polls.clone();
    simulation.spawn(poll_fn(move |context| {
        let mut polls = counted.lock();
        *polls += 1;
        if *polls == 1 {
            context.waker().wake_by_ref();
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }));
    simulation.run_ready();
    assert_eq!(*polls.lock(), 2);
}

#[test]
fn time_jumps_to_the_earliest_timer_when_nothing_else_can_run() {
    let simulation = Simulation::new(0);
    let log = Log::default();
    for seconds in [3, 1, 2] {
        let (sleep, log) = (simulation.sleep(SECOND * seconds), log.clone());
        simulation.spawn(async move {
            sleep.await;
            note(&log, seconds.to_string());
        });
    }
    simulation.block_on(simulation.sleep(SECOND * 10));
    assert_eq!(*log.lock(), ["1", "2", "3"]);
    assert_eq!(simulation.now().since_origin(), SECOND * 10);
}

#[test]
fn timers_of_one_deadline_fire_in_the_order_of_arming() {
    let simulation = Simulation::new(0);
    let log = Log::default();
    let sleeps: Vec<_> = (0..5).map(|_| simulation.sleep(SECOND)).collect();
    for (number, sleep) in sleeps.into_iter().enumerate().rev() {
        let log = log.clone();
        simulation.spawn(async move {
            sleep.await;
            note(&log, number.to_string());
        });
    }
    simulation.advance(SECOND);
    assert_eq!(*log.lock(), ["0", "1", "2", "3", "4"]);
}

#[test]
fn advance_fires_each_timer_at_its_own_time_and_ends_where_it_was_told() {
    let simulation = Simulation::new(0);
    let log = Log::default();
    let (task_log, handle) = (log.clone(), simulation.platform());
    let (first, second) = (simulation.sleep(SECOND), simulation.sleep(SECOND * 3));
    simulation.spawn(async move {
        first.await;
        note(&task_log, format!("{:?}", handle.clock.now().since_origin()));
        second.await;
        note(&task_log, format!("{:?}", handle.clock.now().since_origin()));
    });
    simulation.advance(SECOND * 2);
    assert_eq!(*log.lock(), ["1s"]);
    assert_eq!(simulation.now().since_origin(), SECOND * 2);
    simulation.advance(SECOND * 2);
    assert_eq!(*log.lock(), ["1s", "3s"]);
}

#[test]
fn advance_within_a_running_future_loses_no_wake_up() {
    let simulation = Simulation::new(0);
    simulation.block_on(async {
        let mut own = pin!(simulation.sleep(SECOND));
        poll_fn(|context| {
            let _ = own.as_mut().poll(context);
            // The timer of this future itself fires while the future runs.
            simulation.advance(SECOND * 2);
            Poll::Ready(())
        })
        .await;
        own.await;
        simulation.sleep(SECOND).await;
    });
    assert_eq!(simulation.now().since_origin(), SECOND * 3);
}

#[test]
fn a_dropped_or_disarmed_timer_does_not_fire() {
    let simulation = Simulation::new(0);
    let clock = simulation.platform().clock;
    let mut dropped = clock.timer();
    dropped.set(Some(Instant::ORIGIN + SECOND));
    drop(dropped);
    let mut disarmed = clock.timer();
    disarmed.set(Some(Instant::ORIGIN + SECOND));
    disarmed.set(None);
    simulation.block_on(simulation.sleep(SECOND * 5));
    assert_eq!(simulation.now().since_origin(), SECOND * 5);
    assert!(disarmed.poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

#[test]
fn a_timer_stays_ready_until_it_is_set_anew_and_keeps_its_waker_when_it_is() {
    let simulation = Simulation::new(0);
    let timer = Arc::new(Mutex::new(simulation.platform().clock.timer()));
    timer.lock().set(Some(Instant::ORIGIN));
    simulation.block_on(poll_fn(|context| timer.lock().poll(context)));
    simulation.block_on(poll_fn(|context| timer.lock().poll(context)));
    timer.lock().set(None);
    let (armed_by, sleep) = (timer.clone(), simulation.sleep(SECOND));
    simulation.spawn(async move {
        sleep.await;
        armed_by.lock().set(Some(Instant::ORIGIN + SECOND * 2));
    });
    simulation.block_on(poll_fn(|context| timer.lock().poll(context)));
    assert_eq!(simulation.now().since_origin(), SECOND * 2);
}

#[test]
fn a_program_that_computes_uses_up_time_and_one_that_waits_does_not() {
    let simulation = Simulation::new(0);
    // The program polls in a loop whether another task has done something.
    let done = Arc::new(Mutex::new(false));
    let (setter, sleep) = (done.clone(), simulation.sleep(SECOND));
    simulation.spawn(async move {
        sleep.await;
        *setter.lock() = true;
    });
    let looks = simulation.block_on(simulation.in_turns(async {
        let mut looks = 0;
        while !*done.lock() {
            give_way().await;
            looks += 1;
        }
        looks
    }));
    assert_eq!((looks, simulation.now().since_origin()), (10_000, SECOND));
    // A program that is woken by others has not computed.
    let start = simulation.now();
    simulation.block_on(simulation.in_turns(async {
        for _ in 0..50 {
            simulation.sleep(SECOND).await;
            give_way().await;
        }
    }));
    assert_eq!(simulation.now() - start, SECOND * 50);
}

#[test]
fn a_look_at_the_clock_takes_a_little() {
    let simulation = Simulation::new(0);
    let (clock, sleep) = (simulation.platform().clock, simulation.sleep(Duration::from_millis(1)));
    let looks = (1..).find(|_| clock.look() >= Instant::ORIGIN + Duration::from_millis(1));
    assert_eq!(looks, Some(1000));
    simulation.block_on(sleep);
    assert_eq!(simulation.now(), Instant::ORIGIN + Duration::from_millis(1));
}

#[test]
fn a_future_that_nothing_will_wake_can_be_an_error() {
    let simulation = Simulation::new(0);
    simulation.spawn(core::future::pending());
    assert_eq!(simulation.try_block_on(core::future::pending::<()>()), Err(Stalled { tasks: 1 }));
    assert_eq!(simulation.try_block_on(async { 7 }), Ok(7));
}

#[test]
fn one_seed_gives_one_run_and_another_seed_another() {
    let draw = |seed| {
        let mut bytes = [0; 37];
        Simulation::new(seed).platform().random.fill(&mut bytes);
        bytes
    };
    assert_eq!(draw(7), draw(7));
    assert_ne!(draw(7), draw(8));
}

#[test]
#[should_panic(expected = "nothing can run")]
fn a_future_that_nothing_will_wake_panics() {
    Simulation::new(0).block_on(core::future::pending::<()>());
}

#[test]
#[should_panic(expected = "the task's own words")]
fn a_panic_in_a_task_fails_the_test() {
    let simulation = Simulation::new(0);
    simulation.spawn(async { panic!("the task's own words") });
    simulation.block_on(simulation.sleep(SECOND));
}

#[test]
fn tasks_that_have_not_ended_are_dropped_with_the_simulation() {
    let simulation = Simulation::new(0);
    let witness = Arc::new(());
    let (held, platform) = (witness.clone(), simulation.platform());
    simulation.spawn(async move {
        core::future::pending::<()>().await;
        drop((held, platform));
    });
    simulation.run_ready();
    assert_eq!(Arc::strong_count(&witness), 2);
    drop(simulation);
    assert_eq!(Arc::strong_count(&witness), 1);
}
