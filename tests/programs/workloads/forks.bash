# Forks with and without exec, from a shell whose heap grows meanwhile; children use the heap too.
declare -A seen
total=0
for ((i = 0; i < 3000; i++)); do
	seen[key$i]=$(printf '%*s' $((i % 300)) "$i")
	total=$((total + ${#seen[key$i]}))
done
echo "substitutions: ${#seen[@]} $total"

for ((i = 0; i < 300; i++)); do
	printf 'line %d\n' {1..50} | grep -c "$((i % 10))" | tr '\n' ' '
done
echo

# Many children at once, each with an array of its own.
for ((i = 0; i < 200; i++)); do
	(
		words=()
		for ((j = 0; j < 200; j++)); do
			words+=("$i-$j-${seen[key$j]}")
		done
		echo "${words[*]}" >"child.$i"
	) &
done
wait
cat child.* | cksum

nest() {
	if (($1 == 0)); then
		echo bottom
	else
		echo "$1 $(nest $(($1 - 1)))"
	fi
}
nest 60
