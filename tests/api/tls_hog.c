/* SPDX-License-Identifier: MIT */
/* A library that takes 64 bytes of static TLS, as those that leave none for others do. */
char *tls_hog(void);

static __thread char hog[64] __attribute__((tls_model("initial-exec"), aligned(8)));

char *tls_hog(void)
{
	return hog;
}
