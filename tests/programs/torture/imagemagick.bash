#!/bin/bash
# SPDX-License-Identifier: MIT
limit=300
. "$(dirname "$0")/../common.bash"
require /usr/bin/convert /usr/bin/identify

pictures() {
	convert -seed 7 -size 900x700 plasma:fractal start.png
	convert start.png -resize 60% -rotate 17 -blur 0x3 -sharpen 0x1 turned.png
	convert start.png -colors 32 -morphology Close Disk:2 -swirl 80 swirled.gif
	convert start.png -fft +depth +swap -delete 1 -auto-level spectrum.png
	convert start.png \( +clone -flip \) \( turned.png -resize 900x700! \) -compose Overlay -composite -quality 83 joined.jpg
	montage start.png turned.png swirled.gif joined.jpg -geometry 200x150+4+4 sheet.png
	identify -format '%f %wx%h %#\n' start.png turned.png swirled.gif spectrum.png joined.jpg sheet.png
}
processes=7
same_output pictures
