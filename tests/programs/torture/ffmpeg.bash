#!/bin/bash
# SPDX-License-Identifier: MIT
limit=600
. "$(dirname "$0")/../common.bash"
require ffmpeg

# Encoders with several threads, whose output does not depend on them; what comes out is decoded again.
encode_and_decode() {
	local quiet=(ffmpeg -v error -nostdin -y -fflags +bitexact -flags +bitexact)
	local picture=(-f lavfi -i testsrc2=size=640x360:rate=25:duration=6)
	local sound=(-f lavfi -i sine=frequency=440:duration=6)

	"${quiet[@]}" "${picture[@]}" "${sound[@]}" -c:v libx264 -preset medium -threads 4 -c:a aac -flags:v +bitexact -flags:a +bitexact x264.mkv
	"${quiet[@]}" "${picture[@]}" -c:v mpeg4 -flags:v +bitexact mpeg4.avi
	"${quiet[@]}" "${picture[@]}" -c:v libvpx-vp9 -deadline realtime -cpu-used 6 -flags:v +bitexact vp9.webm
	"${quiet[@]}" "${sound[@]}" -c:a flac sound.flac
	"${quiet[@]}" -i x264.mkv -vf scale=320:180,hflip,gblur,edgedetect -f rawvideo filtered.yuv
	cksum filtered.yuv sound.flac mpeg4.avi
	for file in x264.mkv mpeg4.avi vp9.webm sound.flac; do
		ffmpeg -v error -nostdin -i "$file" -f framemd5 -
	done
}
processes=9
same_output encode_and_decode
