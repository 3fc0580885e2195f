package harness;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.OutputStream;

/** In the place of java.io.FileOutputStream: writes a file of Expect, one character a byte. */
public class FileOutputStream extends OutputStream {
    private final Expect.End end;

    public FileOutputStream(String name) throws FileNotFoundException {
        end = new Expect.End(name, true);
    }

    @Override
    public void write(int one) throws IOException {
        end.write(one & 0xff);
    }

    @Override
    public void flush() throws IOException {
        end.flush();
    }

    @Override
    public void close() throws IOException {
        end.close();
    }
}
