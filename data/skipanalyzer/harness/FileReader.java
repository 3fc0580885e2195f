package harness;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.Reader;

/** In the place of java.io.FileReader: reads a file of Expect. */
public class FileReader extends Reader {
    private final Expect.End end;

    public FileReader(String name) throws FileNotFoundException {
        end = new Expect.End(name, false);
    }

    @Override
    public int read(char[] room, int first, int most) throws IOException {
        java.util.Objects.checkFromIndexSize(first, most, room.length);
        int count = 0;
        while (count < most) {
            int one = end.read();
            if (one < 0) {
                break;
            }
            room[first + count++] = (char) one;
        }
        return count == 0 && most > 0 ? -1 : count;
    }

    @Override
    public void close() throws IOException {
        end.close();
    }
}
