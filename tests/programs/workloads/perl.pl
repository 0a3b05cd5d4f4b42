# Hashes, strings that grow, sorting, regular expressions, and children by fork.
use strict;
use warnings;

$| = 1;
my $seed = 12345;
sub rnd { $seed = ($seed * 1103515245 + 12345) & 0x7fffffff; return ($seed >> 8) % $_[0]; }

my %h;
for my $i (1 .. 300_000) {
	my $key = 'k' . rnd(100_000);
	push @{ $h{$key} }, 'x' x rnd(60);
	delete $h{ 'k' . rnd(100_000) } if $i % 3 == 0;
}
my $bytes = 0;
for my $list (values %h) { $bytes += length for @$list; }
printf "%d keys, %d bytes\n", scalar(keys %h), $bytes;
print join(' ', (sort { @{ $h{$b} } <=> @{ $h{$a} } || $a cmp $b } keys %h)[ 0 .. 50 ]), "\n";

my $text = '';
for my $i (1 .. 200_000) { $text .= chr(97 + rnd(26)) x (1 + rnd(5)) . ($i % 9 ? '' : ' '); }
my %words;
$words{$_}++ for split / /, $text;
printf "%d characters, %d words\n", length $text, scalar keys %words;
(my $changed = $text) =~ s/([aeiou])\1+/<$1>/g;
printf "%d after substitution, checksum %d\n", length $changed, unpack('%32C*', $changed);

my @tree = map { { id => $_, children => [ map { [ ($_) x rnd(9) ] } 1 .. rnd(9) ] } } 1 .. 20_000;
@tree = grep { @{ $_->{children} } > 4 } @tree;
printf "%d nodes\n", scalar @tree;

for my $child (1 .. 4) {
	my $pid = fork // die "fork: $!";
	if (!$pid) {
		my %mine = map { $_ => $h{$_} } grep { length($_) % $child == 0 } keys %h;
		printf "child %d: %d keys\n", $child, scalar keys %mine;
		exit 0;
	}
	waitpid $pid, 0;
	die "child $child ended with $?" if $?;
}
