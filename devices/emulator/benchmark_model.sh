#!/system/bin/sh
# Stands for Google's benchmark_model on the emulated phone, where a process that has LiteRT loaded does the work.
reply="/.emulator/$$"
mkfifo "$reply" 2>/dev/null || { echo "$0: this runs on an emulated phone only" >&2; exit 126; }
exec 3<>"$reply" 4<&0 5>&1 6>&2
echo "benchmark_model $$" >/.emulator/requests
read -r code <&3
[ "${code:-70}" -le 128 ] || kill "-$((code - 128))" $$
exit "${code:-70}"
