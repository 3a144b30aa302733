//! Limits on the memory that several queues may hold together. Each queue has a [`Charge`] on up to two [`Budget`]s:
//! its owner's and its interface's.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicUsize, Ordering};

use super::in_32_bits;

/// The memory, in bytes, that several connections may hold together, for example all connections of one guest or of one
/// interface. Clones refer to the same budget.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Account>);

#[derive(Debug)]
struct Account {
    limit: usize,
    held: AtomicUsize,
}

impl Budget {
    /// A budget of `limit` bytes, none of them held yet.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Account { limit, held: AtomicUsize::new(0) }))
    }

    /// The most bytes that may be held.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    /// How many bytes are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.0.held.load(Ordering::Relaxed)
    }

    /// How many bytes are left.
    #[must_use]
    pub fn left(&self) -> usize {
        self.limit().saturating_sub(self.held())
    }

    /// Takes `bytes` bytes, all or none. Returns whether it did.
    #[must_use]
    pub fn take(&self, bytes: usize) -> bool {
        let more = |held: usize| held.checked_add(bytes).filter(|sum| *sum <= self.0.limit);
        self.0.held.try_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// Gives back bytes that were taken.
    pub fn give_back(&self, bytes: usize) {
        self.0.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl PartialEq for Budget {
    /// Whether both are the same budget.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Budget {}

/// The bytes that are reserved for every queue. They are taken when the queue is made, so that no queue comes to a
/// standstill because others hold everything.
pub const RESERVED: usize = 4096;

/// The memory that one queue holds of its budgets. It is given back when the charge is dropped.
#[derive(Debug, Default)]
pub struct Charge {
    /// The owner's budget.
    owner: Option<Budget>,
    /// The interface's budget.
    interface: Option<Budget>,
    // These have 32 bits each because a connection has two charges, and many connections hold nothing.
    held: u32,
    /// The part of `held` that is promised and not used yet.
    promised: u32,
    /// The bytes taken from the budgets: at least `reserved`.
    taken: u32,
    reserved: u32,
}

impl Charge {
    /// A charge without any budget.
    pub const NONE: Self = Self { owner: None, interface: None, held: 0, promised: 0, taken: 0, reserved: 0 };

    /// A new charge, which takes [`RESERVED`] bytes from both budgets; `None` if that much is not left.
    #[must_use]
    pub fn new(owner: Option<&Budget>, interface: Option<&Budget>) -> Option<Self> {
        let (owner, interface, reserved) = (owner.cloned(), interface.cloned(), in_32_bits(RESERVED));
        let mut charge = Self { owner, interface, reserved, ..Self::NONE };
        charge.extend(reserved).then_some(charge)
    }

    /// How many bytes are held, promised bytes included.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.held as usize
    }

    /// How many more bytes could be held.
    #[must_use]
    pub fn left(&self) -> usize {
        let left = |budget: &Option<Budget>| budget.as_ref().map_or(usize::MAX, Budget::left);
        let in_budgets = left(&self.owner).min(left(&self.interface));
        in_budgets
            .saturating_add((self.taken - self.held.min(self.taken)) as usize)
            .min((u32::MAX - self.held) as usize)
    }

    /// Promises up to `bytes` bytes to the next call of [`take`](Self::take), in place of any earlier promise, and
    /// returns how many. An earlier promise is kept as far as it does not exceed `bytes`.
    pub fn promise(&mut self, bytes: usize) -> usize {
        let bytes = in_32_bits(bytes);
        if bytes < self.promised {
            let surplus = self.promised - bytes;
            self.promised = bytes;
            self.release(surplus);
        } else {
            let more = (bytes - self.promised).min(in_32_bits(self.left()));
            // Another thread may have taken the bytes in between.
            if self.hold(more) {
                self.promised += more;
            }
        }
        self.promised as usize
    }

    /// Gives back the bytes that were promised and not used.
    pub fn forget_promise(&mut self) {
        let promised = core::mem::take(&mut self.promised);
        self.release(promised);
    }

    /// Holds `bytes` more bytes, all or none, and uses promised bytes first. Returns whether it did.
    #[must_use]
    pub fn take(&mut self, bytes: usize) -> bool {
        let Ok(bytes) = u32::try_from(bytes) else { return false };
        let promised = self.promised.min(bytes);
        let fits = self.hold(bytes - promised);
        if fits {
            self.promised -= promised;
        }
        fits
    }

    /// Holds `bytes` more bytes in addition to the promised ones, all or none. Returns whether it did.
    fn hold(&mut self, bytes: u32) -> bool {
        let Some(held) = self.held.checked_add(bytes) else { return false };
        let fits = held <= self.taken || self.extend(held - self.taken);
        if fits {
            self.held = held;
        }
        fits
    }

    /// Gives up the reservation and the promise: the queue takes no more bytes.
    pub fn forgo(&mut self) {
        self.forget_promise();
        self.reserved = 0;
        self.release(0);
    }

    /// Gives back `bytes` held bytes.
    pub fn give_back(&mut self, bytes: usize) {
        self.release(in_32_bits(bytes));
    }

    fn release(&mut self, bytes: u32) {
        self.held -= bytes.min(self.held);
        let surplus = self.taken.saturating_sub(self.held.max(self.reserved));
        self.taken -= surplus;
        self.return_to_budgets(surplus);
    }

    /// Takes bytes from both budgets, all or none.
    fn extend(&mut self, bytes: u32) -> bool {
        let take = |budget: &Option<Budget>| budget.as_ref().is_none_or(|budget| budget.take(bytes as usize));
        if !take(&self.owner) {
            return false;
        }
        if !take(&self.interface) {
            if let Some(owner) = &self.owner {
                owner.give_back(bytes as usize);
            }
            return false;
        }
        self.taken += bytes;
        true
    }

    fn return_to_budgets(&self, bytes: u32) {
        if bytes > 0 {
            [&self.owner, &self.interface].into_iter().flatten().for_each(|budget| budget.give_back(bytes as usize));
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.return_to_budgets(self.taken);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_taken_whole_or_not() {
        let budget = Budget::new(100);
        assert!(budget.take(60) && !budget.take(41) && budget.take(40));
        assert_eq!((budget.held(), budget.left(), budget.take(usize::MAX)), (100, 0, false));
        budget.give_back(30);
        assert_eq!((budget.left(), budget.clone() == budget, budget == Budget::new(100)), (30, true, false));
    }

    #[test]
    fn a_charge_takes_its_reservation_first_and_counts_beyond_it() {
        let (owner, interface) = (Budget::new(3 * RESERVED), Budget::new(2 * RESERVED));
        let mut charge = Charge::new(Some(&owner), Some(&interface)).expect("there is enough");
        assert_eq!((owner.held(), interface.held(), charge.left()), (RESERVED, RESERVED, 2 * RESERVED));
        assert!(charge.take(RESERVED - 1));
        assert_eq!(owner.held(), RESERVED, "that was reserved");
        assert!(charge.take(101) && !charge.take(RESERVED));
        assert_eq!((owner.held(), interface.held()), (RESERVED + 100, RESERVED + 100), "a refusal takes of neither");
        assert!(Charge::new(Some(&owner), Some(&interface)).is_none());
        charge.give_back(50);
        assert_eq!((charge.held(), owner.held()), (RESERVED + 50, RESERVED + 50));
        charge.give_back(RESERVED + 50);
        assert_eq!((charge.held(), owner.held()), (0, RESERVED));
        assert!(charge.take(10));
        charge.forgo();
        assert_eq!((charge.held(), owner.held()), (10, 10), "what is held is, and no more");
        drop(charge);
        assert_eq!((owner.held(), interface.held()), (0, 0));
    }

    #[test]
    fn a_promise_holds_whatever_others_take() {
        let budget = Budget::new(4 * RESERVED);
        let [mut charge, mut other] = [0; 2].map(|_| Charge::new(Some(&budget), None).expect("there is enough"));
        assert_eq!(charge.promise(2 * RESERVED), 2 * RESERVED);
        assert_eq!(
            (charge.held(), other.take(2 * RESERVED + 1), other.take(2 * RESERVED)),
            (2 * RESERVED, false, true)
        );
        assert!(charge.take(2 * RESERVED) && !charge.take(1));
        other.give_back(2 * RESERVED);
        assert_eq!((charge.promise(usize::MAX), charge.promise(10), charge.held()), (RESERVED, 10, 2 * RESERVED + 10));
        charge.forget_promise();
        assert_eq!(charge.held(), 2 * RESERVED);
    }

    #[test]
    fn a_charge_without_budgets_is_limited_to_32_bits() {
        let mut charge = Charge::NONE;
        assert!(charge.take(u32::MAX as usize - 1) && charge.take(1) && !charge.take(1), "one queue holds 4 GiB");
        assert_eq!(charge.left(), 0);
        charge.give_back(u32::MAX as usize);
        assert_eq!((charge.held(), charge.left()), (0, u32::MAX as usize));
    }
}
