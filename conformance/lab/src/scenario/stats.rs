/// The middle value; the lower one of two.
pub(super) fn median(values: &[u64]) -> Option<u64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len().checked_sub(1)? / 2).copied()
}

/// The same of what is no whole number.
pub(super) fn median_of(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len().checked_sub(1)? / 2).copied()
}

/// The value that 99 of 100 do not exceed; none for fewer than 100.
pub(super) fn p99(values: &[u64]) -> Option<u64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let at = (sorted.len() * 99).div_ceil(100).checked_sub(1)?;
    sorted.get(at).copied().filter(|_| sorted.len() >= 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_and_the_tail() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3, 1, 2]), Some(2));
        assert_eq!(median(&[4, 1, 2, 3]), Some(2));
        assert_eq!((median_of(&[]), median_of(&[0.5, 9.0, 0.1, 2.0])), (None, Some(0.5)));
        assert_eq!(p99(&[1; 99]), None);
        let values: Vec<u64> = (1..=100).collect();
        assert_eq!(p99(&values), Some(99));
    }
}
