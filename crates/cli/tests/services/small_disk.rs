//! A start on a disk that is full or read-only.

use std::process::Command;

use crate::support::assay;

/// What `script` prints beside a small disk of its own, in a namespace.
fn on_a_small_disk(script: &str) -> String {
    let home = tempfile::tempdir().unwrap();
    let script = format!(
        "set -u; cd {home:?}; mkdir disk; mount -t tmpfs -o size=4m tmpfs disk || exit 1\n\
         assay() {{ {binary:?} \"$@\" 2>&1; echo \"exit $?\"; }}\n{script}",
        home = home.path(),
        binary = assay().get_program(),
    );
    let output = Command::new("unshare")
        .args(["--mount", "--map-root-user", "sh", "-c", &script])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "no small disk: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_full_disk_at_start_is_a_fault_of_the_machine() {
    let said = on_a_small_disk(
        "assay --dir disk/a init; cat /dev/zero > disk/fill\n\
         echo ---; assay --dir disk/a serve --listen 127.0.0.1:0\n\
         echo ---; assay --dir disk/b init\n",
    );
    let parts: Vec<_> = said.split("---\n").collect();
    assert!(parts[0].ends_with("exit 0\n"), "{said}");
    for part in &parts[1..] {
        assert!(part.contains("No space left on device"), "{said}");
        assert!(part.ends_with("exit 3\n"), "{said}");
        let last = part.lines().rev().nth(1).unwrap();
        assert!(last.contains("No space left on device"), "{said}");
    }
}

#[test]
fn a_read_only_disk_at_start_is_a_fault_of_the_machine() {
    let said = on_a_small_disk(
        "assay --dir disk/a init; mount -o remount,ro disk\n\
         echo ---; assay --dir disk/a serve --listen 127.0.0.1:0\n\
         echo ---; assay --dir disk/a config check\n\
         echo ---; assay --dir disk/b init\n\
         echo ---; assay --dir disk/c/d init\n\
         echo ---; assay --dir disk/a tls host ca.example.org --root-key disk/a/ca/root.key\n",
    );
    let parts: Vec<_> = said.split("---\n").collect();
    assert!(parts[0].ends_with("exit 0\n"), "{said}");
    for part in &parts[1..] {
        assert!(part.to_lowercase().contains("read-only"), "{said}");
        assert!(part.ends_with("exit 3\n"), "{said}");
    }
    for part in &parts[1..3] {
        assert!(part.contains("mount it writable"), "{said}");
    }
}
