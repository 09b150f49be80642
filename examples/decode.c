/* Decodes a .calo file to a PPM:  decode FILE.calo FOLDER-OF-PACKS OUT.ppm
 *
 *     cc decode.c $(pkg-config --cflags --libs calotype) -o decode */
#include <calotype.h>
#include <stdio.h>
#include <stdlib.h>

static int fail(const char *what) {
    fprintf(stderr, "decode: %s\n", what);
    return 1;
}

int main(int count, char **arguments) {
    if (count != 4) return fail("give FILE.calo FOLDER-OF-PACKS OUT.ppm");
    FILE *in = fopen(arguments[1], "rb");
    if (in == NULL || fseek(in, 0, SEEK_END) != 0) return fail("the file cannot be read");
    const long size = ftell(in);
    rewind(in);
    void *data = malloc((size_t)size + 1);
    if (data == NULL || fread(data, 1, (size_t)size, in) != (size_t)size) return fail("the file cannot be read");
    fclose(in);

    calotype_file *file;
    calotype_pack *pack = NULL;
    calotype_info info;
    if (calotype_open_file(data, (size_t)size, 0, NULL, &file) != CALOTYPE_OK) return fail(calotype_error());
    calotype_get_info(file, &info);
    if (info.needs_pack && calotype_open_pack(arguments[2], info.pack_id, &pack) != CALOTYPE_OK)
        return fail(calotype_error());

    const size_t bytes = (size_t)info.width * info.height * 3;
    unsigned char *pixels = malloc(bytes);
    if (pixels == NULL) return fail("there is not enough memory");
    if (calotype_decode(file, pack, NULL, pixels, bytes) != CALOTYPE_OK) return fail(calotype_error());

    FILE *out = fopen(arguments[3], "wb");
    if (out == NULL) return fail("the picture cannot be written");
    fprintf(out, "P6\n%u %u\n255\n", (unsigned)info.width, (unsigned)info.height);
    if (fwrite(pixels, 1, bytes, out) != bytes || fclose(out) != 0) return fail("the picture cannot be written");
    free(pixels);
    calotype_close_pack(pack);
    calotype_close_file(file);
    free(data);
    return 0;
}
