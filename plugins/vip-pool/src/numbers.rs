use rangemap::RangeInclusiveSet;

/// The host numbers that are taken: runs of them, so that memory follows the
/// number of leases and never the size of a range.
///
/// The families are kept apart, because leases from before a change of
/// configuration may have different numbers in both.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    v4: RangeInclusiveSet<u128>,
    v6: RangeInclusiveSet<u128>,
    /// The number that was taken last: the search goes on after it.
    latest: u128,
}

impl Numbers {
    pub(crate) fn take(&mut self, v4: Option<u128>, v6: Option<u128>) {
        self.v4.extend(v4.map(|number| number..=number));
        self.v6.extend(v6.map(|number| number..=number));
        self.latest = v4.into_iter().chain(v6).max().unwrap_or(self.latest);
    }

    /// Takes them all and goes on after the highest, wherever it stands in the
    /// list.
    pub(crate) fn restore(&mut self, numbers: &[(Option<u128>, Option<u128>)]) {
        let mut highest = self.latest;
        for &(v4, v6) in numbers {
            self.take(v4, v6);
            highest = highest.max(self.latest);
        }
        self.latest = highest;
    }

    pub(crate) fn free(&mut self, v4: Option<u128>, v6: Option<u128>) {
        if let Some(number) = v4 {
            self.v4.remove(number..=number);
        }
        if let Some(number) = v6 {
            self.v6.remove(number..=number);
        }
    }

    /// A number in `1..=last` that neither family has taken: the first after
    /// the latest, else the first of all.
    pub(crate) fn next_free(&self, last: u128) -> Option<u128> {
        self.free_in(self.latest + 1, last).or_else(|| self.free_in(1, last))
    }

    fn free_in(&self, from: u128, last: u128) -> Option<u128> {
        let mut number = from;
        while number <= last {
            match self.v4.get(&number).or_else(|| self.v6.get(&number)) {
                Some(run) => number = run.end() + 1,
                None => return Some(number),
            }
        }
        None
    }
}
