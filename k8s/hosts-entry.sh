# shellcheck shell=bash
# The line of the hosts file that sends assessment.local to this machine; sourced by setup.sh and cleanup.sh.

hosts_line='127.0.0.1 assessment.local'

# Git Bash shows Windows' drive C: as /c. WSL2 has a Linux file of its own.
case "$(uname -s)" in
  MINGW* | MSYS* | CYGWIN*) is_windows=true hosts_file=${HOSTS_FILE:-/c/Windows/System32/drivers/etc/hosts} ;;
  *) is_windows=false hosts_file=${HOSTS_FILE:-/etc/hosts} ;;
esac

# The address that the hosts file has for assessment.local; nothing without an entry.
hosts_address() {
  awk '{ sub(/\r$/, ""); sub(/#.*/, "") }
    { for (i = 2; i <= NF; i++) if ($i == "assessment.local") { print $1; exit } }' "$hosts_file"
}

# Whether a person is there to answer.
is_terminal() { [ -t 0 ] && [ -t 1 ]; }

# Writes standard input over the hosts file, which may be a mount and so cannot be replaced, with sudo where
# it is not ours. "-a" appends.
write_hosts() {
  if [ -w "$hosts_file" ]; then
    tee ${1:+"$1"} "$hosts_file" >/dev/null
  elif command -v sudo >/dev/null; then
    sudo tee ${1:+"$1"} "$hosts_file" >/dev/null
  else
    return 1
  fi
}

add_hosts_entry() {
  # A last line without an end would swallow the entry.
  { [ -z "$(tail -c 1 "$hosts_file")" ] || echo; echo "$hosts_line"; } | write_hosts -a
}

# Takes the line away that is ours alone; one that holds other names too is its owner's to change.
remove_hosts_entry() {
  local rest
  rest=$(awk '{ line = $0; sub(/\r$/, ""); sub(/#.*/, "") }
    !($1 == "127.0.0.1" && $2 == "assessment.local" && NF == 2) { print line }' "$hosts_file")
  printf '%s\n' "$rest" | write_hosts
}

hosts_add_command() {
  if $is_windows; then
    printf '%s\n' "(PowerShell, as administrator) Add-Content \$env:windir\System32\drivers\etc\hosts \"\`r\`n$hosts_line\""
  else
    echo "echo '$hosts_line' | sudo tee -a $hosts_file"
  fi
}

hosts_remove_command() {
  if $is_windows; then
    printf '%s %s\n' "(PowerShell, as administrator) \$f = \"\$env:windir\System32\drivers\etc\hosts\";" \
      "(Get-Content \$f) -ne '$hosts_line' | Set-Content \$f"
  else
    echo "sudo sed -i.bak '/^127\\.0\\.0\\.1 assessment\\.local\$/d' $hosts_file"
  fi
}
