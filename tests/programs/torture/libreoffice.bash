#!/bin/bash
# SPDX-License-Identifier: MIT
limit=600
. "$(dirname "$0")/../common.bash"
require soffice awk

# Each step is a process of its own, some 100 MB large, with 10 threads.
to() {
	soffice --headless "-env:UserInstallation=file://$PWD/profile" --convert-to "$@" >/dev/null
}

documents() {
	awk 'BEGIN {
		print "<html><body><h1>Title</h1>"
		for (i = 1; i <= 300; i++)
			print "<p>Paragraph <b>" i "</b> of a text that is <i>long</i> enough.</p><table border=1><tr><td>" i * 7919 % 101 "</td><td>x</td></tr></table>"
		print "</body></html>"
	}' >text.html
	awk 'BEGIN { for (i = 1; i <= 3000; i++) print i "," i * 7919 % 1009 ",name " i % 97 ",=A" i "*B" i }' >table.csv
	to odt text.html
	to txt:Text text.odt
	to xlsx table.csv
	rm table.csv
	to csv table.xlsx
	cat text.txt table.csv
}
processes=4
same_output documents
