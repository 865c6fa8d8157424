/// The functions named, as `fn trials()`: tests for `libtest_mimic`, which the
/// caller depends on, named after their module and themselves.
///
/// ```
/// ntm_lab::trials![a_move_is_seen];
///
/// fn a_move_is_seen() {}
///
/// assert_eq!(trials().len(), 1);
/// ```
#[macro_export]
macro_rules! trials {
    ($($test:ident),* $(,)?) => {
        pub(crate) fn trials() -> Vec<libtest_mimic::Trial> {
            let room = module_path!().rsplit("::").next().unwrap_or_default();
            vec![$(libtest_mimic::Trial::test(format!("{room}::{}", stringify!($test)), || {
                $test();
                Ok(())
            })),*]
        }
    };
}
