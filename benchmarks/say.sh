# Sourced by the scripts beside it: show a command, run it, show how long it took.
say() {
  printf '\n$ %s\n' "$*"
  began=$(date +%s)
  "$@"
  printf '[%s s]\n' "$(($(date +%s) - began))"
}
