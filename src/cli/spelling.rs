//! Caffe's spelling of flags (gflags: one dash, underscores) as ours.

use std::ffi::OsString;

/// `-solver=x` → `--solver=x`, `--sigint_effect stop` → `--sigint-effect stop`; anything that is not
/// a flag (numbers, one-letter flags, what follows `--`) stays.
pub fn rewritten(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut rest = false;
    arguments
        .map(|argument| {
            let Some(text) = argument.to_str() else { return argument };
            rest |= text == "--";
            let name = text.trim_start_matches('-');
            let dashes = text.len() - name.len();
            let letter = name.starts_with(|c: char| c.is_ascii_alphabetic());
            if rest || !(1..=2).contains(&dashes) || !letter || (dashes == 1 && name.len() == 1) {
                return argument;
            }
            let (flag, value) = match name.split_once('=') {
                Some((flag, value)) => (flag, format!("={value}")),
                None => (name, String::new()),
            };
            format!("--{}{value}", flag.replace('_', "-")).into()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn caffe_spellings_become_ours() {
        let table = [
            ("-solver=a_b.prototxt", "--solver=a_b.prototxt"),
            ("--solver", "--solver"),
            ("-sigint_effect", "--sigint-effect"),
            ("-h", "-h"),
            ("-1", "-1"),
            ("--", "--"),
            ("file_name", "file_name"),
            ("-gpu", "--gpu"),
        ];
        for (given, wanted) in table {
            let found = super::rewritten([given.into()].into_iter());
            assert_eq!(found, [std::ffi::OsString::from(wanted)], "{given}");
        }
    }
}
