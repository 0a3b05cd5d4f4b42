#!/bin/bash
# SPDX-License-Identifier: MIT
limit=300
. "$(dirname "$0")/../common.bash"
require gs awk

pages() {
	awk 'BEGIN {
		print "%!PS"
		for (page = 1; page <= 12; page++) {
			print "/Times-Roman findfont 12 scalefont setfont"
			for (i = 1; i <= 60; i++)
				print "72 " 72 + i * 10 " moveto (line " i " of page " page ") show " i / 60 " 0 0 setrgbcolor 300 " 72 + i * 10 " 200 8 rectfill 0 setgray"
			print "gsave 200 400 translate 0 10 350 { rotate 0 0 moveto 100 0 lineto stroke } for grestore showpage"
		}
	}' >pages.ps
	for device in png16m jpeg pbmraw; do
		gs -q -dNOPAUSE -dBATCH -dSAFER -r150 "-sDEVICE=$device" -sOutputFile=page-%d.$device pages.ps
	done
	gs -q -dNOPAUSE -dBATCH -sDEVICE=txtwrite -sOutputFile=- pages.ps
	cksum page-*
}
processes=4
same_output pages
